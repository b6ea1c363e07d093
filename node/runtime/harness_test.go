package runtime_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent"
	agentprocess "frankenetes.dev/agent/process"
	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/agents"
	"frankenetes.dev/node/images"
	"frankenetes.dev/node/provider"
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

// place is a provider whose groups are agents in this process: real ones, that
// call over real TLS and start real processes.
type place struct {
	t *testing.T

	mu     sync.Mutex
	groups map[string]*groupOfAgents
	// changed is closed, and replaced, when groups come or go.
	changed chan struct{}
	refusal error
	// silent groups are listed, but their agents never call.
	silent bool
}

type groupOfAgents struct {
	provider.Group
	// volumes is where the pod agent has the pod's volumes.
	volumes string
	stop    func()
}

func (p *place) Create(_ context.Context, g provider.Group) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refusal != nil {
		return p.refusal
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	volumes := p.t.TempDir()
	for _, m := range g.Containers[0].Mounts {
		if name, ok := strings.CutPrefix(m.Path, protocol.Volumes+"/"); ok {
			if err := os.Mkdir(filepath.Join(volumes, name), 0o700); err != nil {
				cancel()
				return err
			}
		}
	}
	if !p.silent {
		for _, c := range g.Containers {
			all.Go(func() { p.runAgent(ctx, c, volumes) })
		}
	}
	p.groups[g.Name] = &groupOfAgents{Group: g, volumes: volumes, stop: func() { cancel(); all.Wait() }}
	p.tell()
	return nil
}

// runAgent is a container of a group: an agent, with directories of its own.
func (p *place) runAgent(ctx context.Context, c provider.Container, volumes string) {
	root := p.t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "log"), 0o777); err != nil {
		p.t.Error(err)
		return
	}
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	now := make(chan struct{})
	close(now) // nobody waits for processes of a group that is deleted
	err := agent.Run(ctx, agent.Config{
		Node: env[protocol.EnvNode], Token: env[protocol.EnvToken], Authority: []byte(env[protocol.EnvAuthority]),
		Root: root, Volumes: volumes, Reaper: children, Hurry: now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil && ctx.Err() == nil {
		p.t.Errorf("agent of %s: %v", c.Name, err)
	}
}

func (p *place) Delete(_ context.Context, name string) error {
	p.mu.Lock()
	g := p.groups[name]
	delete(p.groups, name)
	p.tell()
	p.mu.Unlock()
	if g != nil {
		g.stop()
	}
	return nil
}

func (p *place) List(_ context.Context, tags map[string]string) ([]provider.Listed, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []provider.Listed
	for _, g := range p.groups {
		if maps.Equal(tags, map[string]string{provider.TagNode: g.Tags[provider.TagNode]}) {
			list = append(list, provider.Listed{Name: g.Name, Tags: g.Tags})
		}
	}
	return list, nil
}

func (p *place) tell() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// until waits until there are so many groups.
func (p *place) until(n int) {
	p.t.Helper()
	ctx := bounded(p.t)
	for {
		p.mu.Lock()
		have, changed := len(p.groups), p.changed
		p.mu.Unlock()
		if have == n {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			p.t.Fatalf("there are %d groups, want %d", have, n)
		}
	}
}

func (p *place) names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.groups))
}

// only returns the one group that there is.
func (p *place) only() *groupOfAgents {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.groups) != 1 {
		p.t.Fatalf("there are %d groups, want one", len(p.groups))
	}
	for _, g := range p.groups {
		return g
	}
	return nil
}

func (p *place) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusal = err
}

// shelf is the registry: images that are there, by full name.
type shelf struct {
	mu    sync.Mutex
	there map[string]images.Image
}

func (s *shelf) put(i images.Image) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.there[i.Ref] = i
}

func (s *shelf) Read(_ context.Context, ref string, _ *runtimeapi.AuthConfig) (images.Image, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.there[ref]
	if !ok {
		return images.Image{}, errors.New("no such image: " + ref)
	}
	return i, nil
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
	// stop ends the runtime and the hub, not the groups.
	stop func()

	mu   sync.Mutex
	pods map[string]*v1.Pod
}

const shell = "docker.io/library/shell:latest"

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, place: &place{t: t, groups: map[string]*groupOfAgents{}, changed: make(chan struct{})}, shelf: &shelf{there: map[string]images.Image{}},
		root: t.TempDir(), address: "127.0.0.1:0", pods: map[string]*v1.Pod{}}
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
	hub := agents.New(agents.Options{Authority: w.authority, Server: cert, Log: log,
		OnConnect:    func(id protocol.ID, c *protocol.Client) { w.Connected(id, c) },
		OnDisconnect: func(id protocol.ID) { w.Disconnected(id) }})
	w.images = images.NewService(w.shelf, "/")
	w.Runtime = must[*runtime.Runtime](t)(runtime.New(runtime.Options{
		NodeName: "vk", Provider: w.place, Agents: hub, Images: w.images, Pod: w.findPod,
		RootDir: w.root, StateDir: filepath.Join(w.root, "state"), AgentImage: "agent", AgentAddress: w.address,
		AgentAuthority: w.authority.CertPEM(), Log: log}))
	ctx, cancel := context.WithCancel(context.Background())
	if err := w.Recover(ctx); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for _, part := range []func(context.Context) error{w.Run, func(ctx context.Context) error { return hub.Serve(ctx, listener) }} {
		work.Go(func() {
			if err := part(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	w.stop = func() { cancel(); work.Wait() }
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
