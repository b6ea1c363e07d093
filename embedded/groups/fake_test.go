package groups

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// fakeRuntime is a container runtime that only keeps books. It speaks the
// CRI's own protocol, so that the code under test is the one that runs.
type fakeRuntime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	mu         sync.Mutex
	changed    *sync.Cond
	serial     int
	sandboxes  map[string]*runtimeapi.PodSandbox
	resolvers  map[string]*runtimeapi.DNSConfig // by the sandbox's name
	containers map[string]*fakeContainer
	listeners  map[chan *runtimeapi.ContainerEventResponse]struct{}
	images     map[string]bool
	// script says how a container ends as soon as it is started; absent means
	// that it runs until it is told to end.
	script map[string]int32
	// refuse is the error with which containers of that name cannot start.
	refuse map[string]string
	// busy says how often one of that name is still being started for somebody
	// else; then that is given up.
	busy map[string]int
	// mute says how often the containers of a sandbox cannot be asked for.
	mute int
	// away says how often those of a deployment cannot be asked for.
	away  int
	calls []string
	// removing, if set, is called before a sandbox is removed, listing before
	// containers are listed.
	removing, listing func()
	// exec answers Exec.
	exec func(*runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error)
	// execSync says how a probe's command ends.
	execSync func(*runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error)
}

type fakeContainer struct {
	status  *runtimeapi.ContainerStatus
	sandbox string
	config  *runtimeapi.ContainerConfig
	// undead says that something of it runs although it has ended.
	undead bool
}

func newFakeRuntime(images ...string) *fakeRuntime {
	f := &fakeRuntime{sandboxes: map[string]*runtimeapi.PodSandbox{}, resolvers: map[string]*runtimeapi.DNSConfig{}, containers: map[string]*fakeContainer{},
		listeners: map[chan *runtimeapi.ContainerEventResponse]struct{}{}, images: map[string]bool{},
		script: map[string]int32{}, refuse: map[string]string{}, busy: map[string]int{}}
	f.changed = sync.NewCond(&f.mu)
	for _, i := range images {
		f.images[i] = true
	}
	return f
}

// serve returns clients of the runtime.
func (f *fakeRuntime) serve(t *testing.T) (runtimeapi.RuntimeServiceClient, runtimeapi.ImageServiceClient) {
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, f)
	runtimeapi.RegisterImageServiceServer(server, f)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	conn, err := grpc.NewClient("passthrough:fake", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return runtimeapi.NewRuntimeServiceClient(conn), runtimeapi.NewImageServiceClient(conn)
}

func (f *fakeRuntime) id(kind string) string {
	f.serial++
	return fmt.Sprintf("%s%d", kind, f.serial)
}

func (f *fakeRuntime) note(format string, args ...any) {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	f.changed.Broadcast()
}

// await blocks until what is true of the runtime's books.
func (f *fakeRuntime) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	expired := false
	timer := time.AfterFunc(10*time.Second, func() {
		f.mu.Lock()
		expired = true
		f.changed.Broadcast()
		f.mu.Unlock()
	})
	defer timer.Stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for !holds() {
		if expired {
			t.Fatalf("waited in vain for %s; calls so far: %s", what, strings.Join(f.calls, ", "))
		}
		f.changed.Wait()
	}
}

func (f *fakeRuntime) RunPodSandbox(_ context.Context, r *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.id("sandbox")
	f.sandboxes[id] = &runtimeapi.PodSandbox{Id: id, Metadata: r.Config.Metadata, Labels: r.Config.Labels, State: runtimeapi.PodSandboxState_SANDBOX_READY}
	f.resolvers[r.Config.Metadata.Name] = r.Config.DnsConfig
	f.note("run %s", r.Config.Metadata.Name)
	return &runtimeapi.RunPodSandboxResponse{PodSandboxId: id}, nil
}

func (f *fakeRuntime) PodSandboxStatus(_ context.Context, r *runtimeapi.PodSandboxStatusRequest) (*runtimeapi.PodSandboxStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.sandboxes[r.PodSandboxId]
	if s == nil {
		return nil, grpcstatus.Error(codes.NotFound, "no such sandbox")
	}
	return &runtimeapi.PodSandboxStatusResponse{Status: &runtimeapi.PodSandboxStatus{Id: s.Id, State: s.State,
		Network: &runtimeapi.PodSandboxNetworkStatus{Ip: "10.77.0." + strings.TrimPrefix(s.Id, "sandbox")}},
		Info: map[string]string{"info": `{"sandboxMetadata":{"Metadata":{"NetNSPath":"/netns/` + s.Id + `"}}}`}}, nil
}

func (f *fakeRuntime) StopPodSandbox(_ context.Context, r *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sandboxes[r.PodSandboxId]; s != nil {
		s.State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
	}
	return &runtimeapi.StopPodSandboxResponse{}, nil
}

func (f *fakeRuntime) RemovePodSandbox(_ context.Context, r *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	if f.removing != nil {
		f.removing()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, c := range f.containers {
		if c.sandbox != r.PodSandboxId {
			continue
		}
		if c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING || c.undead {
			return nil, grpcstatus.Error(codes.Unknown, "container is still running")
		}
		delete(f.containers, id)
	}
	delete(f.sandboxes, r.PodSandboxId)
	f.note("remove %s", r.PodSandboxId)
	return &runtimeapi.RemovePodSandboxResponse{}, nil
}

func matches(labels, selector map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return true
}

func (f *fakeRuntime) ListPodSandbox(_ context.Context, r *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := &runtimeapi.ListPodSandboxResponse{}
	for _, s := range f.sandboxes {
		if matches(s.Labels, r.GetFilter().GetLabelSelector()) {
			list.Items = append(list.Items, s)
		}
	}
	return list, nil
}

func (f *fakeRuntime) ListContainers(_ context.Context, r *runtimeapi.ListContainersRequest) (*runtimeapi.ListContainersResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.GetFilter().GetPodSandboxId() != "" && f.mute > 0 {
		f.mute--
		return nil, grpcstatus.Error(codes.Unavailable, "error reading from server: EOF")
	}
	if r.GetFilter().GetPodSandboxId() == "" && f.away > 0 {
		f.away--
		return nil, grpcstatus.Error(codes.Unavailable, "connection refused")
	}
	if f.listing != nil {
		f.mu.Unlock()
		f.listing()
		f.mu.Lock()
	}
	list := &runtimeapi.ListContainersResponse{}
	for id, c := range f.containers {
		filter := r.GetFilter()
		if !matches(c.config.Labels, filter.GetLabelSelector()) || filter.GetPodSandboxId() != "" && filter.GetPodSandboxId() != c.sandbox ||
			filter.GetState() != nil && filter.GetState().State != c.status.State {
			continue
		}
		list.Containers = append(list.Containers, &runtimeapi.Container{Id: id, PodSandboxId: c.sandbox, Metadata: c.config.Metadata, Labels: c.config.Labels, State: c.status.State})
	}
	return list, nil
}

func (f *fakeRuntime) CreateContainer(_ context.Context, r *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.containers {
		if c.sandbox == r.PodSandboxId && c.config.Metadata.Name == r.Config.Metadata.Name && c.config.Metadata.Attempt == r.Config.Metadata.Attempt {
			return nil, grpcstatus.Error(codes.Unknown, "name is reserved")
		}
	}
	id := f.id("container")
	f.containers[id] = &fakeContainer{sandbox: r.PodSandboxId, config: r.Config, status: &runtimeapi.ContainerStatus{Id: id, Metadata: r.Config.Metadata}}
	f.note("create %s/%d", r.Config.Metadata.Name, r.Config.Metadata.Attempt)
	return &runtimeapi.CreateContainerResponse{ContainerId: id}, nil
}

func (f *fakeRuntime) StartContainer(_ context.Context, r *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[r.ContainerId]
	name := c.config.Metadata.Name
	f.note("start %s/%d", name, c.config.Metadata.Attempt)
	if busy := f.busy[name]; busy > 0 {
		if f.busy[name]--; f.busy[name] == 0 {
			c.refuse("context canceled")
		}
		return nil, grpcstatus.Error(codes.Unknown, "failed to set starting state: container is already in starting state")
	}
	if why := f.refuse[name]; why != "" {
		c.refuse(why)
		return nil, grpcstatus.Error(codes.Unknown, why)
	}
	c.status.State, c.status.StartedAt = runtimeapi.ContainerState_CONTAINER_RUNNING, time.Now().UnixNano()
	if code, scripted := f.script[name]; scripted {
		f.end(c, code, "")
	}
	return &runtimeapi.StartContainerResponse{}, nil
}

// refuse is what becomes of a container that cannot be started.
func (c *fakeContainer) refuse(why string) {
	c.status.State, c.status.ExitCode, c.status.Reason, c.status.Message = runtimeapi.ContainerState_CONTAINER_EXITED, exitNotStarted, startError, why
}

// end makes a container end; the caller holds the mutex.
func (f *fakeRuntime) end(c *fakeContainer, code int32, reason string) {
	c.status.State, c.status.ExitCode, c.status.Reason, c.status.FinishedAt = runtimeapi.ContainerState_CONTAINER_EXITED, code, reason, time.Now().UnixNano()
	f.tell(c.status.Id)
}

func (f *fakeRuntime) tell(id string) {
	for l := range f.listeners {
		l <- &runtimeapi.ContainerEventResponse{ContainerId: id, ContainerEventType: runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT}
	}
}

// running returns the running container of a name, or nil; the caller holds the mutex.
func (f *fakeRuntime) running(name string) *fakeContainer {
	for _, c := range f.containers {
		if c.config.Metadata.Name == name && c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
			return c
		}
	}
	return nil
}

// latest returns the running container of a name.
func (f *fakeRuntime) latest(name string) *fakeContainer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running(name)
}

// resolverOf is what was asked for a group's resolv.conf.
func (f *fakeRuntime) resolverOf(group string) *runtimeapi.DNSConfig {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resolvers[group]
}

// history is what was asked of the runtime, in order.
func (f *fakeRuntime) history() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, " ")
}

// left returns how many sandboxes and containers there are.
func (f *fakeRuntime) left() (sandboxes, containers int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sandboxes), len(f.containers)
}

// lose ends a group's sandbox and all that runs in it, as a host in trouble would.
func (f *fakeRuntime) lose(group string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, s := range f.sandboxes {
		if s.Metadata.Name != group {
			continue
		}
		s.State = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
		f.tell(id)
		for _, c := range f.containers {
			if c.sandbox == id && c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
				f.end(c, exitUnknown, "Unknown")
			}
		}
	}
}

// finish waits for a container to run and ends it.
func (f *fakeRuntime) finish(t *testing.T, name string, code int32, reason string) {
	t.Helper()
	f.await(t, name+" to run", func() bool { return f.running(name) != nil })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(f.running(name), code, reason)
}

func (f *fakeRuntime) StopContainer(_ context.Context, r *runtimeapi.StopContainerRequest) (*runtimeapi.StopContainerResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[r.ContainerId]
	f.note("stop %s after %d s", c.config.Metadata.Name, r.Timeout)
	if c.status.State == runtimeapi.ContainerState_CONTAINER_RUNNING {
		f.end(c, exitKilled, "")
	}
	return &runtimeapi.StopContainerResponse{}, nil
}

func (f *fakeRuntime) ReopenContainerLog(_ context.Context, r *runtimeapi.ReopenContainerLogRequest) (*runtimeapi.ReopenContainerLogResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("reopen %s", r.ContainerId)
	return &runtimeapi.ReopenContainerLogResponse{}, nil
}

func (f *fakeRuntime) Exec(_ context.Context, r *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error) {
	return f.exec(r)
}

func (f *fakeRuntime) ExecSync(_ context.Context, r *runtimeapi.ExecSyncRequest) (*runtimeapi.ExecSyncResponse, error) {
	return f.execSync(r)
}

func (f *fakeRuntime) RemoveContainer(_ context.Context, r *runtimeapi.RemoveContainerRequest) (*runtimeapi.RemoveContainerResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.containers[r.ContainerId]; c != nil && c.undead {
		return nil, grpcstatus.Error(codes.FailedPrecondition, "cannot delete running task")
	}
	delete(f.containers, r.ContainerId)
	return &runtimeapi.RemoveContainerResponse{}, nil
}

// discard ends what runs of a container that has ended.
func (f *fakeRuntime) discard(_ context.Context, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.containers[id]; c != nil {
		c.undead = false
	}
	return nil
}

func (f *fakeRuntime) ContainerStatus(_ context.Context, r *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[r.ContainerId]
	if c == nil {
		return nil, grpcstatus.Error(codes.NotFound, "no such container")
	}
	copied := &runtimeapi.ContainerStatus{Id: c.status.Id, Metadata: c.status.Metadata, State: c.status.State, ExitCode: c.status.ExitCode,
		Reason: c.status.Reason, Message: c.status.Message, StartedAt: c.status.StartedAt, FinishedAt: c.status.FinishedAt}
	return &runtimeapi.ContainerStatusResponse{Status: copied}, nil
}

func (f *fakeRuntime) GetContainerEvents(_ *runtimeapi.GetEventsRequest, stream runtimeapi.RuntimeService_GetContainerEventsServer) error {
	events := make(chan *runtimeapi.ContainerEventResponse, 1000)
	f.mu.Lock()
	f.listeners[events] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		delete(f.listeners, events)
		f.mu.Unlock()
	}()
	for {
		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case e := <-events:
			if err := stream.Send(e); err != nil {
				return err
			}
		}
	}
}

func (f *fakeRuntime) ImageStatus(_ context.Context, r *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.images[r.Image.Image] {
		return &runtimeapi.ImageStatusResponse{}, nil
	}
	return &runtimeapi.ImageStatusResponse{Image: &runtimeapi.Image{Id: "sha256:" + r.Image.Image}}, nil
}

func (f *fakeRuntime) PullImage(_ context.Context, r *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("pull %s as %s", r.Image.Image, r.GetAuth().GetUsername())
	if strings.HasPrefix(r.Image.Image, "closed.example/") && r.GetAuth().GetUsername() == "me" {
		f.images[r.Image.Image] = true
		return &runtimeapi.PullImageResponse{ImageRef: "sha256:" + r.Image.Image}, nil
	}
	return nil, grpcstatus.Error(codes.Unknown, "registry says no")
}

func (f *fakeRuntime) ListImages(context.Context, *runtimeapi.ListImagesRequest) (*runtimeapi.ListImagesResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := &runtimeapi.ListImagesResponse{}
	for name, has := range f.images {
		if has {
			r.Images = append(r.Images, &runtimeapi.Image{Id: "sha256:" + name, RepoTags: []string{name}})
		}
	}
	return r, nil
}
