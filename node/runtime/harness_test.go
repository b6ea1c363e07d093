package runtime_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	agentprocess "frankenetes.dev/agent/process"
	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/agents"
	"frankenetes.dev/node/images"
	"frankenetes.dev/node/runtime"
	"frankenetes.dev/pki"
)

// children reaps for all agents of the tests, as there can be only one who does.
var children = agentprocess.NewReaper()

func TestMain(m *testing.M) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		children.Run(ctx)
	}()
	code := m.Run()
	cancel()
	<-done
	os.Exit(code)
}

// deadline bounds every wait; it is never reached if all is well.
const deadline = 30 * time.Second

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// world is a node without a kubelet: the test plays that part.
type world struct {
	*runtime.Runtime
	t         *testing.T
	place     *place
	shelf     *shelf
	images    *images.Service
	authority *pki.Authority
	root      string
	address   string
	hub       *agents.Hub
	// streamIdle is how long a stream lasts of which nothing is heard.
	streamIdle time.Duration
	// patience is how long groups that nobody knows are waited for.
	patience time.Duration
	// levels gets what the node is told of its containers.
	levels chan bool
	// stop ends the runtime and the hub, not the groups.
	stop func()

	mu   sync.Mutex
	pods map[string]*v1.Pod
	// stages are those that pods have come to the end of.
	stages []string
}

const shell = "docker.io/library/shell:latest"

func newWorld(t *testing.T) *world {
	t.Helper()
	return newIdleWorld(t, 0)
}

// newIdleWorld is one where streams of which nothing is heard last that long.
func newIdleWorld(t *testing.T, streamIdle time.Duration) *world {
	t.Helper()
	w := &world{streamIdle: streamIdle, t: t, place: &place{t: t, groups: map[string]*groupOfAgents{}, changed: make(chan struct{})}, shelf: &shelf{there: map[string]images.Image{}},
		root: t.TempDir(), address: "127.0.0.1:0", patience: deadline, levels: make(chan bool, 8), pods: map[string]*v1.Pod{}}
	w.shelf.put(images.Image{Ref: shell, ID: "sha256:shell", Digest: "sha256:" + strings.Repeat("a", 64),
		Entrypoint: []string{"/bin/sh", "-c"}, Env: []string{"PATH=/usr/bin:/bin"}})
	w.authority = must[*pki.Authority](t)(pki.NewAuthority("agents"))
	w.start()
	t.Cleanup(func() {
		w.stop()
		for _, name := range w.place.names() {
			_ = w.place.Delete(context.Background(), name)
		}
	})
	return w
}

// start makes the node's parts; after stop, it is a restart of the node.
func (w *world) start() {
	t := w.t
	t.Helper()
	pair := must[pki.Pair](t)(w.authority.Issue(pki.Leaf{CommonName: "node", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Server: true}))
	cert, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	listener := must[net.Listener](t)(net.Listen("tcp", w.address))
	w.address = listener.Addr().String()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	w.hub = agents.New(agents.Options{Authority: w.authority, Server: cert, Log: log,
		OnConnect:    func(id protocol.ID, c *protocol.Client) { w.Connected(id, c) },
		OnDisconnect: func(id protocol.ID) { w.Disconnected(id) }})
	w.images = images.NewService(w.shelf, nil, "/")
	w.Runtime = must[*runtime.Runtime](t)(runtime.New(runtime.Options{
		NodeName: "vk", Provider: w.place, Agents: w.hub, Images: w.images, Pod: w.findPod,
		RootDir: w.root, StateDir: filepath.Join(w.root, "state"), AgentImage: "agent", AgentAddress: w.address,
		AgentAuthority: w.authority.CertPEM(), Log: log, StreamIdle: w.streamIdle,
		OnLevel: func(_ context.Context, exact bool) { w.levels <- exact }, OnStage: w.reached}))
	ctx, cancel := context.WithCancel(context.Background())
	if err := w.Recover(ctx); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for _, part := range []func(context.Context) error{w.Run, func(ctx context.Context) error { return w.hub.Serve(ctx, listener) }} {
		work.Go(func() {
			if err := part(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	w.stop = func() { cancel(); work.Wait() }
	must[map[string]runtime.Sizes](t)(w.Claim(ctx, w.patience))
}

// settleRecords waits until the pod agent of the only group has the record that
// the node has.
func (w *world) settleRecords() {
	w.t.Helper()
	ctx := bounded(w.t)
	files := must[[]string](w.t)(filepath.Glob(filepath.Join(w.root, "state", "*.json")))
	if len(files) != 1 {
		w.t.Fatalf("there are %d records", len(files))
	}
	agent := must[*protocol.Client](w.t)(w.hub.Await(ctx, protocol.ID{Group: w.place.only().Name, Container: protocol.PodAgent}))
	for ctx.Err() == nil {
		shared, _ := agent.Record(ctx)
		if own := must[[]byte](w.t)(os.ReadFile(files[0])); string(own) == string(shared) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	w.t.Fatal("the pod agent has another record")
}

func (w *world) findPod(namespace, name string) (*v1.Pod, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	pod, ok := w.pods[namespace+"/"+name]
	return pod, ok
}

// pod makes a pod known to the node, whose containers run shell scripts.
func (w *world) pod(name string, containers ...v1.Container) *v1.Pod {
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-of-" + name)},
		Spec:       v1.PodSpec{Containers: containers},
		Status:     v1.PodStatus{Phase: v1.PodPending},
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pods["default/"+name] = pod
	return pod
}

func (w *world) reached(s runtime.Stage, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if took < 0 || took > deadline {
		w.t.Errorf("stage %s took %s", s, took)
	}
	w.stages = append(w.stages, s.String())
}

// sandboxConfig is what the kubelet says of a pod's sandbox.
func (w *world) sandboxConfig(pod *v1.Pod) *runtimeapi.PodSandboxConfig {
	return &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Namespace: pod.Namespace, Name: pod.Name, Uid: string(pod.UID)},
		LogDirectory: filepath.Join(w.root, "logs", pod.Name),
		Labels:       map[string]string{"io.kubernetes.pod.uid": string(pod.UID)},
	}
}

// sandbox runs a pod's sandbox.
func (w *world) sandbox(pod *v1.Pod) string {
	w.t.Helper()
	return must[string](w.t)(w.RunPodSandbox(bounded(w.t), w.sandboxConfig(pod), ""))
}

// create creates a container that runs a shell script.
func (w *world) create(pod *v1.Pod, sandbox, name, script string, mounts ...*runtimeapi.Mount) (string, error) {
	w.t.Helper()
	me := &runtimeapi.Int64Value{Value: int64(os.Getuid())}
	group := &runtimeapi.Int64Value{Value: int64(os.Getgid())}
	return w.CreateContainer(bounded(w.t), sandbox, &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: name}, Image: &runtimeapi.ImageSpec{Image: "sha256:shell"},
		Args: []string{script}, LogPath: name + "/0.log", Mounts: mounts,
		Linux: &runtimeapi.LinuxContainerConfig{SecurityContext: &runtimeapi.LinuxContainerSecurityContext{RunAsUser: me, RunAsGroup: group}},
	}, w.sandboxConfig(pod))
}

// run creates and starts a container.
func (w *world) run(pod *v1.Pod, sandbox, name, script string, mounts ...*runtimeapi.Mount) string {
	w.t.Helper()
	id := must[string](w.t)(w.create(pod, sandbox, name, script, mounts...))
	if err := w.StartContainer(bounded(w.t), id); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// eventually returns a function that waits until something is so, looking again
// with every event of the runtime. It must be called before what leads there.
func (w *world) eventually() func(what string, is func() bool) {
	ctx := bounded(w.t)
	events := make(chan *runtimeapi.ContainerEventResponse)
	subscribed := make(chan struct{})
	go func() {
		_ = w.GetContainerEvents(ctx, events, func(runtimeapi.RuntimeService_GetContainerEventsClient) { close(subscribed) })
	}()
	<-subscribed
	return func(what string, is func() bool) {
		w.t.Helper()
		for !is() {
			select {
			case <-events:
			case <-ctx.Done():
				w.t.Fatal(what + " never came to be")
			}
		}
	}
}

// watch returns a function that waits until a container is in a state.
func (w *world) watch() func(id string, state runtimeapi.ContainerState) *runtimeapi.ContainerStatus {
	eventually := w.eventually()
	return func(id string, state runtimeapi.ContainerState) *runtimeapi.ContainerStatus {
		w.t.Helper()
		var s *runtimeapi.ContainerStatus
		eventually("container "+id+" in state "+state.String(), func() bool {
			s = w.status(id)
			return s.State == state
		})
		return s
	}
}

func (w *world) status(id string) *runtimeapi.ContainerStatus {
	w.t.Helper()
	return must[*runtimeapi.ContainerStatusResponse](w.t)(w.ContainerStatus(bounded(w.t), id, false)).Status
}

func (w *world) log(pod *v1.Pod, name string) string {
	w.t.Helper()
	data := must[[]byte](w.t)(os.ReadFile(filepath.Join(w.root, "logs", pod.Name, name, "0.log")))
	var text strings.Builder
	for line := range strings.Lines(string(data)) {
		parts := strings.SplitN(line, " ", 4)
		if len(parts) != 4 {
			w.t.Fatalf("%q is no line of a CRI log", line)
		}
		text.WriteString(parts[1] + ": " + parts[3])
	}
	return text.String()
}

// volumeDir makes a directory as the kubelet makes one for a volume of a pod.
func (w *world) volumeDir(pod *v1.Pod, plugin, name string) string {
	w.t.Helper()
	dir := filepath.Join(w.root, "pods", string(pod.UID), "volumes", plugin, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	return dir
}
