package runtime

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/provider"
)

// exactContainer is a container of a pod whose agent said what hello says.
func exactContainer(t *testing.T, hello protocol.Hello, config *runtimeapi.ContainerConfig, memory map[string]int64) (*Runtime, *container) {
	t.Helper()
	r := &Runtime{opts: Options{RootDir: "/kubelet"}}
	c := &container{config: config, sandbox: &sandbox{
		uid: "u", exact: hello.Exact, ports: hello.Ports, memory: memory, volumes: map[string]*volume{}}}
	if err := r.mounts(c); err != nil {
		t.Fatal(err)
	}
	return r, c
}

func TestMountsThatTheAgentMakes(t *testing.T) {
	at := func(parts ...string) string {
		return filepath.Join(append([]string{"/kubelet/pods/u/volumes"}, parts...)...)
	}
	config := &runtimeapi.ContainerConfig{Mounts: []*runtimeapi.Mount{
		{HostPath: at("kubernetes.io~configmap", "conf"), ContainerPath: "/conf", Readonly: true},
		{HostPath: at("kubernetes.io~configmap", "conf", "a", "key"), ContainerPath: "/etc/key", Readonly: true},
		{HostPath: at("kubernetes.io~empty-dir", "data", "sub"), ContainerPath: "/sub"},
		{HostPath: at("kubernetes.io~empty-dir", "cache"), ContainerPath: "/cache"},
		{HostPath: at("kubernetes.io~empty-dir", "cache", "part"), ContainerPath: "/part"},
		{HostPath: "/kubelet/pods/u/etc-hosts", ContainerPath: "/etc/hosts"},
		{HostPath: "/kubelet/pods/u/containers/c/1234", ContainerPath: "/dev/termination-log"},
	}}
	r, c := exactContainer(t, protocol.Hello{Exact: true, Ports: true}, config, map[string]int64{"cache": 5})
	token := c.sandbox.volumes["cache"].memory.Token
	if len(token) < 32 || c.sandbox.volumes["cache"].memory.Size != 5 || c.sandbox.volumes["data"].memory != nil {
		t.Errorf("the volumes are %+v", c.sandbox.volumes)
	}
	want := &protocol.Exact{Hostname: "web-0", Mounts: []protocol.Mount{
		{Volume: "conf", SubPath: "a/key", Path: "/etc/key", ReadOnly: true},
		{Volume: "data", SubPath: "sub", Path: "/sub"},
		{Volume: "cache", Path: "/cache", Memory: token},
		{Volume: "cache", SubPath: "part", Path: "/part", Memory: token},
	}}
	if diff := cmp.Diff(want, r.exact(c, &runtimeapi.PodSandboxConfig{Hostname: "web-0"})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(c.volumes) != 5 || c.volumes[1].host != at("kubernetes.io~configmap", "conf") {
		t.Errorf("the volumes to be filled are %+v", c.volumes)
	}
}

func TestVolumesThatShareOneAreMountedByTheAgent(t *testing.T) {
	config := &runtimeapi.ContainerConfig{Mounts: []*runtimeapi.Mount{
		{HostPath: "/kubelet/pods/u/volumes/kubernetes.io~configmap/conf", ContainerPath: "/conf", Readonly: true},
		{HostPath: "/kubelet/pods/u/etc-hosts", ContainerPath: "/etc/hosts"},
	}}
	r := &Runtime{opts: Options{RootDir: "/kubelet"}}
	c := &container{config: config, sandbox: &sandbox{uid: "u", exact: true, shared: true, volumes: map[string]*volume{}}}
	if err := r.mounts(c); err != nil {
		t.Fatal(err)
	}
	want := &protocol.Exact{Mounts: []protocol.Mount{{Volume: "conf", Path: "/conf", ReadOnly: true}}}
	if diff := cmp.Diff(want, r.exact(c, &runtimeapi.PodSandboxConfig{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhoHasNamespacesOfItsOwn(t *testing.T) {
	secure := func(readOnly bool, add ...string) *runtimeapi.ContainerConfig {
		return &runtimeapi.ContainerConfig{Linux: &runtimeapi.LinuxContainerConfig{SecurityContext: &runtimeapi.LinuxContainerSecurityContext{
			ReadonlyRootfs: readOnly, Capabilities: &runtimeapi.Capability{AddCapabilities: add}}}}
	}
	for name, test := range map[string]struct {
		hello  protocol.Hello
		config *runtimeapi.ContainerConfig
		want   bool
	}{
		"everyone where they can be had":                {protocol.Hello{Exact: true, Ports: true}, secure(false), true},
		"no one where not":                              {protocol.Hello{Ports: true}, secure(false), false},
		"not who might want a port":                     {protocol.Hello{Exact: true}, secure(false), false},
		"but who asks for what needs them":              {protocol.Hello{Exact: true}, secure(true), true},
		"not who asks for raw sockets":                  {protocol.Hello{Exact: true, Ports: true}, secure(false, "CAP_NET_RAW"), false},
		"but who asks for them and for what needs them": {protocol.Hello{Exact: true, Ports: true}, secure(true, "NET_RAW"), true},
		"who asks for another capability":               {protocol.Hello{Exact: true, Ports: true}, secure(false, "CHOWN"), true},
	} {
		r, c := exactContainer(t, test.hello, test.config, nil)
		if got := r.exact(c, &runtimeapi.PodSandboxConfig{}); (got != nil) != test.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestVolumesInMemoryAreNoLargerThanTheGroup(t *testing.T) {
	small, large := resource.MustParse("1Mi"), resource.MustParse("1Ti")
	pod := podOf(v1.Container{Name: "a", Resources: v1.ResourceRequirements{Requests: amount("1", "2G")}})
	for name, limit := range map[string]*resource.Quantity{"small": &small, "large": &large, "none": nil} {
		pod.Spec.Volumes = append(pod.Spec.Volumes, v1.Volume{Name: name, VolumeSource: v1.VolumeSource{
			EmptyDir: &v1.EmptyDirVolumeSource{Medium: v1.StorageMediumMemory, SizeLimit: limit}}})
	}
	pod.Spec.Volumes = append(pod.Spec.Volumes,
		v1.Volume{Name: "disk", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}, v1.Volume{Name: "other"})
	// The pod agent has the least that there is.
	want := map[string]int64{"small": 1 << 20, "large": 2_100_000_000, "none": 2_100_000_000}
	if diff := cmp.Diff(want, inMemory(pod, true)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSecretsAreInMemory(t *testing.T) {
	raw := &v1.SecurityContext{Capabilities: &v1.Capabilities{Add: []v1.Capability{"NET_RAW"}}}
	mounts := func(names ...string) []v1.VolumeMount {
		var all []v1.VolumeMount
		for _, name := range names {
			all = append(all, v1.VolumeMount{Name: name})
		}
		return all
	}
	pod := podOf(
		v1.Container{Name: "a", VolumeMounts: mounts("secret", "token", "conf", "both")},
		v1.Container{Name: "b", VolumeMounts: mounts("both"), SecurityContext: raw})
	secret := v1.VolumeSource{Secret: &v1.SecretVolumeSource{}}
	projected := func(sources ...v1.VolumeProjection) v1.VolumeSource {
		return v1.VolumeSource{Projected: &v1.ProjectedVolumeSource{Sources: sources}}
	}
	config := v1.VolumeProjection{ConfigMap: &v1.ConfigMapProjection{}}
	pod.Spec.Volumes = []v1.Volume{
		{Name: "secret", VolumeSource: secret}, {Name: "both", VolumeSource: secret}, {Name: "conf", VolumeSource: projected(config, config)},
		{Name: "token", VolumeSource: projected(config, v1.VolumeProjection{ServiceAccountToken: &v1.ServiceAccountTokenProjection{}})},
	}
	if diff := cmp.Diff(map[string]int64{"secret": 2 * largestObject, "token": 4 * largestObject}, inMemory(pod, true)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := inMemory(pod, false); len(got) > 0 {
		t.Errorf("where containers are plain unless they must not be: %v", got)
	}
}

func TestAVolumeOfWhichPartsAreMountedIsTheAgents(t *testing.T) {
	p := plan{pod: podOf()}
	p.pod.Spec.Volumes = []v1.Volume{{Name: "v"}, {Name: "w"}, {Name: "i", VolumeSource: v1.VolumeSource{Image: &v1.ImageVolumeSource{Reference: "x"}}}}
	got := p.container(&v1.Container{Name: "a", VolumeMounts: []v1.VolumeMount{
		{Name: "v", MountPath: "/one:x", SubPath: "one"}, {Name: "v", MountPath: "/two", SubPathExpr: "$(X)", ReadOnly: true},
		{Name: "w", MountPath: "/w", ReadOnly: true},
		{Name: "i", MountPath: "/i"}, {Name: "i", MountPath: "/j"},
	}}, p.places())
	want := []provider.Mount{{Volume: "volume-0", Path: protocol.Volumes + "/v"}, {Volume: "volume-1", Path: "/w", ReadOnly: true},
		{Volume: "volume-2", Path: protocol.Volumes + "/i"}}
	if diff := cmp.Diff(want, got.Mounts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
