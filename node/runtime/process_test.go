package runtime

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
)

func TestThePodsCommandOverTheImages(t *testing.T) {
	image := images.Image{Entrypoint: []string{"/web", "--x"}, Cmd: []string{"serve"}}
	for _, c := range []struct {
		command, args []string
		want          []string
	}{
		{nil, nil, []string{"/web", "--x", "serve"}},
		{nil, []string{"help"}, []string{"/web", "--x", "help"}},
		{[]string{"sh"}, nil, []string{"sh"}},
		{[]string{"sh"}, []string{"-c", "true"}, []string{"sh", "-c", "true"}},
	} {
		got := arguments(&runtimeapi.ContainerConfig{Command: c.command, Args: c.args}, image)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("command %v, args %v (-want +got):\n%s", c.command, c.args, diff)
		}
	}
	if _, err := compose("id", &runtimeapi.ContainerConfig{}, nil, images.Image{Ref: "scratch"}); err == nil {
		t.Error("nothing to run is no error")
	}
}

func TestTheEnvironmentIsTheImagesThenThePods(t *testing.T) {
	image := images.Image{Env: []string{"PATH=/image", "A=image", "B=image"}}
	sandbox := &runtimeapi.PodSandboxConfig{Hostname: "web-0"}
	config := &runtimeapi.ContainerConfig{Tty: true, Envs: []*runtimeapi.KeyValue{
		{Key: "C", Value: []byte("pod")}, {Key: "A", Value: []byte("pod")}, {Key: "EMPTY"}}}
	want := []string{"PATH=/image", "TERM=xterm", "HOSTNAME=web-0", "A=pod", "B=image", "C=pod", "EMPTY="}
	if diff := cmp.Diff(want, environment(config, sandbox, image)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := environment(&runtimeapi.ContainerConfig{}, nil, images.Image{}); len(got) != 1 || got[0] != defaultPath {
		t.Errorf("with nothing set the environment is %v", got)
	}
}

func TestProgramsAreToldTheAPIServersOwnAddress(t *testing.T) {
	kubelets := []string{"A=b", "KUBERNETES_SERVICE_PORT=443", "KUBERNETES_SERVICE_HOST=10.0.0.1", "KUBERNETES_PORT_443_TCP_ADDR=10.0.0.1"}
	for name, c := range map[string]struct {
		env     []string
		address string
		want    []string
	}{
		"as the kubelet says": {kubelets, "api.demo:6443", []string{"A=b", "KUBERNETES_SERVICE_PORT=6443", "KUBERNETES_SERVICE_HOST=api.demo", "KUBERNETES_PORT_443_TCP_ADDR=10.0.0.1"}},
		"no address known":    {kubelets, "", kubelets},
		"the pod's own": {[]string{"KUBERNETES_SERVICE_HOST=proxy", "KUBERNETES_SERVICE_PORT=1", "KUBERNETES_PORT_443_TCP_ADDR=10.0.0.1"}, "api.demo:6443",
			[]string{"KUBERNETES_SERVICE_HOST=proxy", "KUBERNETES_SERVICE_PORT=1", "KUBERNETES_PORT_443_TCP_ADDR=10.0.0.1"}},
		"none": {[]string{"A=b"}, "api.demo:6443", []string{"A=b"}},
	} {
		if diff := cmp.Diff(c.want, withAPIServer(slices.Clone(c.env), c.address)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestTheUser(t *testing.T) {
	number := func(n int64) *runtimeapi.Int64Value { return &runtimeapi.Int64Value{Value: n} }
	ptr := func(n int64) *int64 { return &n }
	image := images.Image{User: "www:www"}
	for name, c := range map[string]struct {
		context *runtimeapi.LinuxContainerSecurityContext
		want    protocol.User
	}{
		"the image's":      {nil, protocol.User{Name: "www:www"}},
		"a number":         {&runtimeapi.LinuxContainerSecurityContext{RunAsUser: number(0)}, protocol.User{UID: ptr(0)}},
		"a name":           {&runtimeapi.LinuxContainerSecurityContext{RunAsUsername: "joe"}, protocol.User{Name: "joe"}},
		"number and group": {&runtimeapi.LinuxContainerSecurityContext{RunAsUser: number(5), RunAsGroup: number(6)}, protocol.User{UID: ptr(5), GID: ptr(6)}},
		"further groups":   {&runtimeapi.LinuxContainerSecurityContext{SupplementalGroups: []int64{7}}, protocol.User{Name: "www:www", Groups: []int64{7}}},
	} {
		if diff := cmp.Diff(c.want, user(c.context, image)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestSecurityAndStreamsReachTheProcess(t *testing.T) {
	config := &runtimeapi.ContainerConfig{
		Command: []string{"x"}, WorkingDir: "/w", Stdin: true, StdinOnce: true, Tty: true,
		Linux: &runtimeapi.LinuxContainerConfig{SecurityContext: &runtimeapi.LinuxContainerSecurityContext{
			NoNewPrivs:   true,
			Capabilities: &runtimeapi.Capability{DropCapabilities: []string{"ALL"}, AddCapabilities: []string{"cap_chown"}}}},
	}
	got, err := compose("id", config, nil, images.Image{WorkingDir: "/image"})
	if err != nil {
		t.Fatal(err)
	}
	want := protocol.Process{
		ID: "id", Args: []string{"x"}, Env: []string{defaultPath, "TERM=xterm"}, Dir: "/w", TTY: true, Stdin: true, StdinOnce: true,
		NoNewPrivileges: true, DropCapabilities: []string{"ALL"}, AddCapabilities: []string{"CHOWN"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheStopSignal(t *testing.T) {
	for _, c := range []struct {
		pod   runtimeapi.Signal
		image string
		want  string
	}{
		{runtimeapi.Signal_RUNTIME_DEFAULT, "", "SIGTERM"},
		{runtimeapi.Signal_RUNTIME_DEFAULT, "SIGQUIT", "SIGQUIT"},
		{runtimeapi.Signal_SIGINT, "SIGQUIT", "SIGINT"},
	} {
		if got := stopSignal(&runtimeapi.ContainerConfig{StopSignal: c.pod}, images.Image{StopSignal: c.image}); got != c.want {
			t.Errorf("pod %s, image %q: %s, want %s", c.pod, c.image, got, c.want)
		}
	}
}

func TestManagedFilesStayOutOfVolumes(t *testing.T) {
	sandbox := &runtimeapi.PodSandboxConfig{Hostname: "web-0",
		DnsConfig: &runtimeapi.DNSConfig{Servers: []string{"10.0.0.10"}, Searches: []string{"a.svc", "svc"}, Options: []string{"ndots:5"}}}
	files, err := managedFiles(&container{config: &runtimeapi.ContainerConfig{}}, sandbox)
	if err != nil {
		t.Fatal(err)
	}
	want := []protocol.File{
		{Path: "/etc/resolv.conf", Data: []byte("search a.svc svc\nnameserver 10.0.0.10\noptions ndots:5\n"), Mode: 0o644},
		{Path: "/etc/hostname", Data: []byte("web-0\n"), Mode: 0o644},
	}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	config := &runtimeapi.ContainerConfig{Mounts: []*runtimeapi.Mount{{HostPath: "/somewhere", ContainerPath: "/etc"}}}
	if files, err := managedFiles(&container{config: config}, sandbox); err != nil || len(files) != 0 {
		t.Errorf("a volume at /etc gets %v, %v", files, err)
	}
}
