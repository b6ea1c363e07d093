package cri_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/node/provider/cri"
)

// fake is a container runtime that only keeps books. It speaks the CRI's own
// protocol, so that the code under test is the one that runs.
type fake struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	runtimeapi.UnimplementedImageServiceServer

	mu         sync.Mutex
	serial     int
	sandboxes  map[string]*sandbox
	containers map[string]*container
	// images are those that it has, closed the account that the others need.
	images map[string]*runtimeapi.Image
	infos  map[string]string
	pulls  []string
	// ends says how containers of a name end as soon as they start; the others
	// run until they are killed.
	ends map[string]int32
	// refuse is the error of calls by their name, running is called in RunPodSandbox.
	refuse  map[string]error
	running func()
}

type sandbox struct {
	config  *runtimeapi.PodSandboxConfig
	handler string
	state   runtimeapi.PodSandboxState
}

type container struct {
	sandbox string
	config  *runtimeapi.ContainerConfig
	state   runtimeapi.ContainerState
	code    int32
}

// serve returns a fake runtime and a provider on it, whose directory is dir.
func serve(t *testing.T, handler, dir string) (*fake, *cri.Provider) {
	t.Helper()
	f := &fake{sandboxes: map[string]*sandbox{}, containers: map[string]*container{}, images: map[string]*runtimeapi.Image{},
		infos: map[string]string{}, ends: map[string]int32{}, refuse: map[string]error{}}
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, f)
	runtimeapi.RegisterImageServiceServer(server, f)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		server.Stop()
		<-served
	})
	conn, err := grpc.NewClient("passthrough:fake", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return f, cri.New(conn, handler, dir)
}

// enter notes a call, and returns the error that it is to have.
func (f *fake) enter(call string) error {
	f.serial++
	return f.refuse[call]
}

func (f *fake) RunPodSandbox(_ context.Context, r *runtimeapi.RunPodSandboxRequest) (*runtimeapi.RunPodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running != nil {
		f.running()
	}
	if err := f.enter("RunPodSandbox"); err != nil {
		return nil, err
	}
	id := fmt.Sprint("sandbox", f.serial)
	f.sandboxes[id] = &sandbox{config: r.Config, handler: r.RuntimeHandler, state: runtimeapi.PodSandboxState_SANDBOX_READY}
	return &runtimeapi.RunPodSandboxResponse{PodSandboxId: id}, nil
}

func (f *fake) StopPodSandbox(_ context.Context, r *runtimeapi.StopPodSandboxRequest) (*runtimeapi.StopPodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("StopPodSandbox"); err != nil {
		return nil, err
	}
	if s := f.sandboxes[r.PodSandboxId]; s != nil {
		s.state = runtimeapi.PodSandboxState_SANDBOX_NOTREADY
	}
	for _, c := range f.containers {
		if c.sandbox == r.PodSandboxId {
			c.state = runtimeapi.ContainerState_CONTAINER_EXITED
		}
	}
	return &runtimeapi.StopPodSandboxResponse{}, nil
}

func (f *fake) RemovePodSandbox(_ context.Context, r *runtimeapi.RemovePodSandboxRequest) (*runtimeapi.RemovePodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("RemovePodSandbox"); err != nil {
		return nil, err
	}
	for id, c := range f.containers {
		if c.sandbox == r.PodSandboxId {
			if c.state == runtimeapi.ContainerState_CONTAINER_RUNNING {
				return nil, status.Error(codes.Unknown, "a container is still running")
			}
			delete(f.containers, id)
		}
	}
	delete(f.sandboxes, r.PodSandboxId)
	return &runtimeapi.RemovePodSandboxResponse{}, nil
}

func (f *fake) ListPodSandbox(_ context.Context, r *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("ListPodSandbox"); err != nil {
		return nil, err
	}
	list := &runtimeapi.ListPodSandboxResponse{}
next:
	for id, s := range f.sandboxes {
		for k, v := range r.GetFilter().GetLabelSelector() {
			if s.config.Labels[k] != v {
				continue next
			}
		}
		list.Items = append(list.Items, &runtimeapi.PodSandbox{Id: id, Metadata: s.config.Metadata, Labels: s.config.Labels, State: s.state})
	}
	return list, nil
}

func (f *fake) CreateContainer(_ context.Context, r *runtimeapi.CreateContainerRequest) (*runtimeapi.CreateContainerResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("CreateContainer"); err != nil {
		return nil, err
	}
	if f.sandboxes[r.PodSandboxId] == nil {
		return nil, status.Error(codes.NotFound, "there is no such sandbox")
	}
	if f.images[r.Config.Image.Image] == nil {
		return nil, status.Error(codes.NotFound, "there is no such image")
	}
	id := fmt.Sprint("container", f.serial)
	f.containers[id] = &container{sandbox: r.PodSandboxId, config: r.Config}
	return &runtimeapi.CreateContainerResponse{ContainerId: id}, nil
}

func (f *fake) StartContainer(_ context.Context, r *runtimeapi.StartContainerRequest) (*runtimeapi.StartContainerResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("StartContainer"); err != nil {
		return nil, err
	}
	c := f.containers[r.ContainerId]
	c.state = runtimeapi.ContainerState_CONTAINER_RUNNING
	if code, ends := f.ends[c.config.Metadata.Name]; ends {
		c.state, c.code = runtimeapi.ContainerState_CONTAINER_EXITED, code
	}
	return &runtimeapi.StartContainerResponse{}, nil
}

func (f *fake) ContainerStatus(_ context.Context, r *runtimeapi.ContainerStatusRequest) (*runtimeapi.ContainerStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.containers[r.ContainerId]
	return &runtimeapi.ContainerStatusResponse{Status: &runtimeapi.ContainerStatus{Id: r.ContainerId, State: c.state, ExitCode: c.code}}, nil
}

func (f *fake) ImageStatus(_ context.Context, r *runtimeapi.ImageStatusRequest) (*runtimeapi.ImageStatusResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.enter("ImageStatus"); err != nil {
		return nil, err
	}
	image := f.images[r.Image.Image]
	if image == nil {
		return &runtimeapi.ImageStatusResponse{}, nil
	}
	answer := &runtimeapi.ImageStatusResponse{Image: image}
	if r.Verbose {
		answer.Info = map[string]string{"info": f.infos[r.Image.Image]}
	}
	return answer, nil
}

func (f *fake) PullImage(_ context.Context, r *runtimeapi.PullImageRequest) (*runtimeapi.PullImageResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pulls = append(f.pulls, fmt.Sprintf("%s as %q", r.Image.Image, r.GetAuth().GetUsername()))
	if strings.HasPrefix(r.Image.Image, "closed.example/") && r.GetAuth().GetPassword() != "secret" {
		return nil, status.Error(codes.Unknown, "the registry says no")
	}
	f.images[r.Image.Image] = &runtimeapi.Image{Id: "sha256:" + r.Image.Image}
	return &runtimeapi.PullImageResponse{ImageRef: "sha256:" + r.Image.Image}, nil
}

// has makes images present.
func (f *fake) has(names ...string) {
	for _, name := range names {
		f.images[name] = &runtimeapi.Image{Id: "sha256:" + name}
	}
}

// named returns a container by name.
func (f *fake) named(t *testing.T, name string) *container {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.containers {
		if c.config.Metadata.Name == name {
			return c
		}
	}
	t.Fatalf("there is no container %s", name)
	return nil
}

// left returns how many sandboxes and containers there are.
func (f *fake) left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sandboxes) + len(f.containers)
}
