package runtime

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
	"frankenetes.dev/node/provider"
)

func podOf(containers ...v1.Container) *v1.Pod {
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u"},
		Spec:       v1.PodSpec{Containers: containers},
	}
}

func amount(cpu, memory string) v1.ResourceList {
	list := v1.ResourceList{}
	if cpu != "" {
		list[v1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		list[v1.ResourceMemory] = resource.MustParse(memory)
	}
	return list
}

func TestAGroupIsLargeEnough(t *testing.T) {
	always := v1.ContainerRestartPolicyAlways
	type need = v1.ResourceRequirements
	for name, c := range map[string]struct {
		pod  *v1.Pod
		want map[string][4]float64 // request CPU and GB, limit CPU and GB
	}{
		"nothing asked": {
			podOf(v1.Container{Name: "a"}),
			map[string][4]float64{"a": {0.1, 0.2, 1, 1}, "agent": {0.9, 0.8, 1, 1}},
		},
		"rounded up": {
			podOf(v1.Container{Name: "a", Resources: need{Requests: amount("1001m", "1Gi"), Limits: amount("1001m", "1Gi")}}),
			map[string][4]float64{"a": {1.01, 1.1, 1.01, 1.1}, "agent": {0.01, 0.1, 1.02, 1.2}},
		},
		"memory limits make room, CPU limits are cut": {
			podOf(v1.Container{Name: "a", Resources: need{Requests: amount("100m", "100M"), Limits: amount("8", "4G")}}),
			map[string][4]float64{"a": {0.1, 0.1, 1, 4}, "agent": {0.9, 3.9, 1, 4}},
		},
		"init containers take what the others need later": {
			&v1.Pod{Spec: v1.PodSpec{
				InitContainers: []v1.Container{
					{Name: "i", Resources: need{Requests: amount("2", "3G")}},
					{Name: "side", RestartPolicy: &always, Resources: need{Requests: amount("500m", "500M")}}},
				Containers: []v1.Container{{Name: "a", Resources: need{Requests: amount("1", "1G")}}}}},
			map[string][4]float64{
				"i": {0.01, 0.1, 2, 3}, "side": {0.5, 0.5, 2, 3}, "a": {1, 1, 2, 3}, "agent": {0.49, 1.4, 2, 3}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string][4]float64{}
			for name, s := range sizesOf(c.pod, "agent") {
				request, limit := s.request.resources(), s.limit.resources()
				got[name] = [4]float64{request.CPU, request.MemoryGB, limit.CPU, limit.MemoryGB}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("the sizes differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheLargestPodThatANodeTakesFitsInAGroup(t *testing.T) {
	room := v1.ResourceList{v1.ResourceCPU: resource.MustParse("4"), v1.ResourceMemory: resource.MustParse("16G")}
	for name, overhead := range Overhead() {
		left := room[name]
		left.Sub(overhead)
		room[name] = left
	}
	pod := podOf(v1.Container{Name: "a", Resources: v1.ResourceRequirements{Requests: room, Limits: room}})
	var sum size
	for _, s := range sizesOf(pod, "agent") {
		sum = plus(sum, s.request)
	}
	if got := sum.resources(); got.CPU != 4 || got.MemoryGB != 16 {
		t.Errorf("its group asks for %v", got)
	}
}

func TestWhatAGroupCannotGiveIsRefusedByName(t *testing.T) {
	yes, no := true, false
	bidirectional := v1.MountPropagationBidirectional
	unmasked := v1.UnmaskedProcMount
	container := func(change func(*v1.Container)) *v1.Pod {
		pod := podOf(v1.Container{Name: "a"})
		change(&pod.Spec.Containers[0])
		return pod
	}
	spec := func(change func(*v1.PodSpec)) *v1.Pod {
		pod := podOf(v1.Container{Name: "a"})
		change(&pod.Spec)
		return pod
	}
	secure := func(s v1.SecurityContext) *v1.Pod {
		return container(func(c *v1.Container) { c.SecurityContext = &s })
	}
	mount := func(m v1.VolumeMount) *v1.Pod {
		return container(func(c *v1.Container) { c.VolumeMounts = []v1.VolumeMount{m} })
	}
	for field, pod := range map[string]*v1.Pod{
		"hostNetwork":             spec(func(s *v1.PodSpec) { s.HostNetwork = true }),
		"hostPID":                 spec(func(s *v1.PodSpec) { s.HostPID = true }),
		"hostIPC":                 spec(func(s *v1.PodSpec) { s.HostIPC = true }),
		"hostUsers":               spec(func(s *v1.PodSpec) { s.HostUsers = &no }),
		"shareProcessNamespace":   spec(func(s *v1.PodSpec) { s.ShareProcessNamespace = &yes }),
		"securityContext.sysctls": spec(func(s *v1.PodSpec) { s.SecurityContext = &v1.PodSecurityContext{Sysctls: []v1.Sysctl{{Name: "x"}}} }),
		"containers": spec(func(s *v1.PodSpec) {
			for i := range 58 {
				s.Containers = append(s.Containers, v1.Container{Name: fmt.Sprint(i)})
			}
		}),
		"name":           container(func(c *v1.Container) { c.Name = protocol.PodAgent }),
		"ports.hostPort": container(func(c *v1.Container) { c.Ports = []v1.ContainerPort{{HostPort: 80}} }),
		"env.valueFrom.fileKeyRef": spec(func(s *v1.PodSpec) {
			s.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{Medium: v1.StorageMediumMemory}}}}
			s.Containers[0].Env = []v1.EnvVar{{Name: "a", ValueFrom: &v1.EnvVarSource{FileKeyRef: &v1.FileKeySelector{VolumeName: "v", Path: "env", Key: "a"}}}}
		}),
		"volumeDevices":    container(func(c *v1.Container) { c.VolumeDevices = []v1.VolumeDevice{{}} }),
		"mountPropagation": mount(v1.VolumeMount{MountPropagation: &bidirectional}),
		"mountPath":        mount(v1.VolumeMount{MountPath: protocol.Root + "/log"}),
		"privileged":       secure(v1.SecurityContext{Privileged: &yes}),
		"procMount":        secure(v1.SecurityContext{ProcMount: &unmasked}),
		"seccompProfile":   secure(v1.SecurityContext{SeccompProfile: &v1.SeccompProfile{Type: v1.SeccompProfileTypeLocalhost}}),
		"capabilities.add": secure(v1.SecurityContext{Capabilities: &v1.Capabilities{Add: []v1.Capability{"CAP_NET_ADMIN"}}}),
	} {
		if err := check(pod); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: check = %v, want a refusal that names it", field, err)
		}
	}
	// These are refused only where containers have no namespaces of their own.
	for field, pod := range map[string]*v1.Pod{
		"subPath":                mount(v1.VolumeMount{SubPath: "x"}),
		"volumeMounts.subPath":   mount(v1.VolumeMount{SubPathExpr: "$(X)"}),
		"readOnlyRootFilesystem": secure(v1.SecurityContext{ReadOnlyRootFilesystem: &yes}),
		"volumes":                manyVolumes(20),
		"image": spec(func(s *v1.PodSpec) {
			s.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{Image: &v1.ImageVolumeSource{Reference: "x"}}}}
			s.Containers[0].VolumeMounts = []v1.VolumeMount{{Name: "v", MountPath: "/v"}}
		}),
	} {
		if err := check(pod); err != nil {
			t.Errorf("%s: %v", field, err)
		}
		if err := checkPlain(pod); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: checkPlain = %v, want a refusal that names it", field, err)
		}
	}
	for what, pod := range map[string]*v1.Pod{
		"a plain pod":                         podOf(v1.Container{Name: "a"}),
		"as many volumes as a group can have": manyVolumes(19),
		"an offered capability":               secure(v1.SecurityContext{Capabilities: &v1.Capabilities{Add: []v1.Capability{"NET_RAW"}}}),
		"privileged: false":                   secure(v1.SecurityContext{Privileged: &no}),
		"an image that nobody mounts": spec(func(s *v1.PodSpec) {
			s.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{Image: &v1.ImageVolumeSource{Reference: "x"}}}}
		}),
		"an ordinary mount": mount(v1.VolumeMount{Name: "v", MountPath: "/data"}),
	} {
		if err := errors.Join(check(pod), checkPlain(pod)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// manyVolumes is a pod whose containers but one mount that many volumes.
func manyVolumes(n int) *v1.Pod {
	pod := podOf(v1.Container{Name: "a"}, v1.Container{Name: "b"}, v1.Container{Name: "none"})
	for i := range n {
		name := fmt.Sprint("v", i)
		pod.Spec.Volumes = append(pod.Spec.Volumes, v1.Volume{Name: name})
		for _, c := range []*v1.Container{&pod.Spec.Containers[0], &pod.Spec.Containers[1]} {
			c.VolumeMounts = append(c.VolumeMounts, v1.VolumeMount{Name: name, MountPath: "/" + name})
		}
	}
	return pod
}

func TestVolumesBeyondWhatAGroupHasShareOne(t *testing.T) {
	of := func(n int) provider.Group {
		p := plan{pod: manyVolumes(n), name: "g", node: Options{AgentImage: "agent"}, images: map[string]images.Image{},
			token: func(protocol.ID) (string, error) { return "", nil }}
		g, err := p.group()
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if g := of(19); len(g.Volumes) != 20 || len(g.Containers[1].Mounts) != 20 || g.Containers[1].Mounts[19].Path != "/v18" {
		t.Errorf("19 volumes are %v", g.Volumes)
	}
	g := of(60)
	if diff := cmp.Diff([]string{"frankenetes", "volumes"}, g.Volumes); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
	root, shared := provider.Mount{Volume: "frankenetes", Path: protocol.Root}, provider.Mount{Volume: "volumes", Path: protocol.Volumes}
	for i, want := range [][]provider.Mount{{root, shared}, {root, shared}, {root, shared}, {root}} {
		if diff := cmp.Diff(want, g.Containers[i].Mounts); diff != "" {
			t.Errorf("mounts of %s (-want +got):\n%s", g.Containers[i].Name, diff)
		}
	}
}

func TestTheGroupOfAPod(t *testing.T) {
	pod := podOf(
		v1.Container{Name: "web", VolumeMounts: []v1.VolumeMount{{Name: "conf", MountPath: "/conf", ReadOnly: true}}},
		v1.Container{Name: "nobody"})
	pod.Spec.InitContainers = []v1.Container{{Name: "init", VolumeMounts: []v1.VolumeMount{{Name: "b", MountPath: "/b"}}}}
	pod.Spec.Volumes = []v1.Volume{{Name: "unused"}, {Name: "conf"}, {Name: "b"}}
	p := plan{
		pod: pod, name: "g", sandbox: "s",
		node: Options{NodeName: "vk", AgentImage: "agent", AgentAddress: "node:1", AgentAuthority: []byte("PEM"), Registry: "own.example"},
		images: map[string]images.Image{
			"web":    {Ref: "own.example/web:1", Digest: "sha256:" + strings.Repeat("a", 64)},
			"init":   {Ref: "docker.io/library/init:1", Digest: "sha256:" + strings.Repeat("b", 64)},
			"nobody": {Ref: "own.example/n:1", User: "65534"}},
		accounts: map[string]*images.Account{"init": {Username: "joe", Password: "pw"}},
		token:    func(id protocol.ID) (string, error) { return "token of " + id.Group + "/" + id.Container, nil },
	}
	g, err := p.group()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"frankenetes", "volume-1", "volume-2"}, g.Volumes); diff != "" {
		t.Errorf("volumes (-want +got):\n%s", diff)
	}
	var names, pulled []string
	for _, c := range g.Containers {
		names, pulled = append(names, c.Name), append(pulled, c.Image)
		token := c.Env[len(c.Env)-1]
		if !token.Secret || token.Value != "token of g/"+c.Name {
			t.Errorf("the token of %s is %+v", c.Name, token)
		}
		command := []string{protocol.Binary, "run"}
		if c.Name == protocol.PodAgent {
			command = append(command, "-trial")
		}
		if diff := cmp.Diff(command, c.Command); diff != "" {
			t.Errorf("the command of %s (-want +got):\n%s", c.Name, diff)
		}
	}
	if diff := cmp.Diff([]string{protocol.PodAgent, "init", "web", "nobody"}, names); diff != "" {
		t.Errorf("containers (-want +got):\n%s", diff)
	}
	// Images of other registries are pinned to what was resolved.
	want := []string{"agent", "docker.io/library/init@sha256:" + strings.Repeat("b", 64), "own.example/web:1", "own.example/n:1"}
	if diff := cmp.Diff(want, pulled); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]provider.Mount{{Volume: "frankenetes", Path: protocol.Root}, {Volume: "volume-1", Path: "/conf", ReadOnly: true}},
		g.Containers[2].Mounts); diff != "" {
		t.Errorf("mounts of web (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]provider.Mount{{Volume: "frankenetes", Path: protocol.Root},
		{Volume: "volume-1", Path: protocol.Volumes + "/conf"}, {Volume: "volume-2", Path: protocol.Volumes + "/b"}},
		g.Containers[0].Mounts); diff != "" {
		t.Errorf("mounts of the pod agent (-want +got):\n%s", diff)
	}
	if u := g.Containers[3].User; u == nil || *u != 0 {
		t.Error("an image's own user is not root, and its agent neither")
	}
	if g.Containers[2].User != nil {
		t.Error("an image that is root's was given a user")
	}
	if diff := cmp.Diff([]provider.Registry{{Server: "docker.io", Username: "joe", Password: "pw"}}, g.Registries); diff != "" {
		t.Errorf("registries (-want +got):\n%s", diff)
	}
}

func TestLimitsStayWithinTheSumAsFloatsHaveIt(t *testing.T) {
	containers := []provider.Container{
		{Request: provider.Resources{CPU: 0.7, MemoryGB: 0.7}, Limit: provider.Resources{CPU: 1, MemoryGB: 1}},
		{Request: provider.Resources{CPU: 0.2, MemoryGB: 0.2}, Limit: provider.Resources{CPU: 1, MemoryGB: 1}},
		{Request: provider.Resources{CPU: 0.1, MemoryGB: 0.1}, Limit: provider.Resources{CPU: 0.1, MemoryGB: 0.1}},
	}
	capLimits(containers)
	var sum provider.Resources
	for _, c := range containers {
		sum.CPU, sum.MemoryGB = sum.CPU+c.Request.CPU, sum.MemoryGB+c.Request.MemoryGB
	}
	for i, c := range containers {
		if c.Limit.CPU > sum.CPU || c.Limit.MemoryGB > sum.MemoryGB {
			t.Errorf("container %d has the limit %v of %v in all", i, c.Limit, sum)
		}
	}
}
