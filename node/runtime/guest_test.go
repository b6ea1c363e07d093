package runtime

import (
	"context"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
)

// reader has every image.
type reader struct{}

func (reader) Read(_ context.Context, ref string, _ *runtimeapi.AuthConfig) (images.Image, error) {
	return images.Image{Ref: ref, ID: "sha256:id"}, nil
}

// withGuest is a runtime with one pod, to which a container is added.
func withGuest(exact bool, guest v1.EphemeralContainerCommon) (*Runtime, *sandbox) {
	r, sb := pending(runtimeapi.ContainerState_CONTAINER_RUNNING)
	sb.exact = exact
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "uid"},
		Spec: v1.PodSpec{
			Volumes:             []v1.Volume{{Name: "data"}, {Name: "unused"}},
			Containers:          []v1.Container{{Name: "web", VolumeMounts: []v1.VolumeMount{{Name: "data", MountPath: "/data"}}}},
			EphemeralContainers: []v1.EphemeralContainer{{EphemeralContainerCommon: guest}},
		},
	}
	r.opts.Pod = func(string, string) (*v1.Pod, bool) { return pod, true }
	r.opts.Images = images.NewService(reader{}, nil, "/")
	return r, sb
}

func TestWhereAnAddedContainerRuns(t *testing.T) {
	yes := true
	target := &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_TARGET, TargetId: "id"}
	mount := []v1.VolumeMount{{Name: "data", MountPath: "/data"}}
	for title, test := range map[string]struct {
		exact      bool
		guest      v1.EphemeralContainerCommon
		namespaces *runtimeapi.NamespaceOption
		// host is where it runs, or why is why not.
		host, why string
	}{
		"beside the others":           {true, v1.EphemeralContainerCommon{}, nil, protocol.PodAgent, ""},
		"with a volume":               {true, v1.EphemeralContainerCommon{VolumeMounts: mount}, nil, protocol.PodAgent, ""},
		"to see another's processes":  {true, v1.EphemeralContainerCommon{}, target, "web", ""},
		"as kubectl debug has it":     {true, v1.EphemeralContainerCommon{SecurityContext: &v1.SecurityContext{Capabilities: &v1.Capabilities{Add: []v1.Capability{"SYS_PTRACE"}}}}, target, "web", ""},
		"both":                        {true, v1.EphemeralContainerCommon{VolumeMounts: mount}, target, "", "volumeMounts"},
		"a volume that is not there":  {true, v1.EphemeralContainerCommon{VolumeMounts: []v1.VolumeMount{{Name: "unused", MountPath: "/x"}}}, nil, "", "unused"},
		"privileged":                  {true, v1.EphemeralContainerCommon{SecurityContext: &v1.SecurityContext{Privileged: &yes}}, nil, "", "privileged"},
		"where there are no such":     {false, v1.EphemeralContainerCommon{}, nil, "", "namespaces"},
		"to see what is not there":    {true, v1.EphemeralContainerCommon{}, &runtimeapi.NamespaceOption{Pid: runtimeapi.NamespaceMode_TARGET, TargetId: "x"}, "", "no container x"},
		"with another's capabilities": {true, v1.EphemeralContainerCommon{SecurityContext: &v1.SecurityContext{Capabilities: &v1.Capabilities{Add: []v1.Capability{"NET_ADMIN"}}}}, nil, "", "NET_ADMIN"},
	} {
		test.guest.Name, test.guest.Image = "look", "shell"
		r, sb := withGuest(test.exact, test.guest)
		image, host, err := r.guest(t.Context(), sb, &runtimeapi.ContainerConfig{
			Metadata: &runtimeapi.ContainerMetadata{Name: "look"},
			Linux:    &runtimeapi.LinuxContainerConfig{SecurityContext: &runtimeapi.LinuxContainerSecurityContext{NamespaceOptions: test.namespaces}}})
		switch {
		case test.why == "" && (err != nil || host != test.host || image.Ref != "docker.io/library/shell:latest"):
			t.Errorf("%s: %v in %q, %v", title, image, host, err)
		case test.why != "" && (err == nil || !strings.Contains(err.Error(), test.why)):
			t.Errorf("%s: %v, want %s", title, err, test.why)
		}
	}
	r, sb := withGuest(true, v1.EphemeralContainerCommon{Name: "look"})
	if _, _, err := r.guest(t.Context(), sb, &runtimeapi.ContainerConfig{Metadata: &runtimeapi.ContainerMetadata{Name: "stranger"}}); err == nil {
		t.Error("a container that the pod has not was taken")
	}
}

func TestAnAddedContainerHasARootOfItsOwn(t *testing.T) {
	r, sb := withGuest(true, v1.EphemeralContainerCommon{Name: "look"})
	r.opts.RootDir = "/kubelet"
	c := &container{sandbox: sb, host: protocol.PodAgent, config: &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: "look"},
		Mounts:   []*runtimeapi.Mount{{HostPath: "/kubelet/pods/uid/volumes/kubernetes.io~empty-dir/data", ContainerPath: "/data"}}}}
	if err := r.mounts(c); err != nil {
		t.Fatal(err)
	}
	got := r.exact(c, &runtimeapi.PodSandboxConfig{Hostname: "web-0"})
	if got == nil || !got.OwnRoot || got.CleanRoot || got.Hostname != "web-0" || len(got.Mounts) != 1 || got.Mounts[0].Volume != "data" {
		t.Errorf("it finds %+v", got)
	}
	if c.place() != protocol.PodAgent || !c.ephemeral() {
		t.Errorf("it is in %s", c.place())
	}
}
