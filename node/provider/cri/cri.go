// Package cri runs pods' groups straight on a container runtime, such as
// containerd, and by its runtime handlers in whatever else it has, such as Kata's
// virtual machines. It exists so that a machine with nothing but such a runtime
// can be a node, and to show how little a provider is: a group is a pod sandbox
// with its containers, and a directory.
package cri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/node/provider"
)

const (
	// callTimeout bounds what is not cut short with its caller, lookEvery is
	// the time between two looks at an init container: not every runtime tells
	// of ends, but each can be asked.
	callTimeout = 4 * time.Minute
	lookEvery   = 20 * time.Millisecond
	// maxDelay is the longest time between two attempts to connect to a runtime
	// that is away, maxMessage the limit for one gRPC message, in bytes.
	maxDelay   = 3 * time.Second
	maxMessage = 16 << 20
)

// Provider runs groups on one runtime. The labels of sandboxes are all that it
// knows them by, so nothing is lost when the node restarts.
type Provider struct {
	runtime runtimeapi.RuntimeServiceClient
	images  runtimeapi.ImageServiceClient
	handler string
	dir     string
}

// Dial connects to the runtime that listens on a socket, unix:///path, as soon
// as it does.
func Dial(socket string) (*grpc.ClientConn, error) {
	again := backoff.DefaultConfig
	again.BaseDelay, again.MaxDelay = lookEvery, maxDelay
	conn, err := grpc.NewClient(socket, grpc.WithTransportCredentials(insecure.NewCredentials()), // a file, which has an owner
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)), grpc.WithConnectParams(grpc.ConnectParams{Backoff: again, MinConnectTimeout: maxDelay}))
	if err != nil {
		return nil, fmt.Errorf("connect to the container runtime at %s: %w", socket, err)
	}
	return conn, nil
}

// New returns a provider whose sandboxes have the runtime handler of that name,
// or the runtime's default one. Volumes, and what the agents themselves print,
// are in directories below dir, which nobody but root can enter.
func New(conn grpc.ClientConnInterface, handler, dir string) *Provider {
	return &Provider{
		runtime: runtimeapi.NewRuntimeServiceClient(conn), images: runtimeapi.NewImageServiceClient(conn),
		handler: handler, dir: dir,
	}
}

// Create makes a group, and returns when its containers have started. What a
// runtime has begun to make is made, even if the caller gives up: what is half
// made is hard to find, and so to delete.
func (p *Provider) Create(ctx context.Context, g provider.Group) error {
	if err := p.pull(ctx, g); err != nil {
		return fmt.Errorf("create group %s: %w", g.Name, err)
	}
	config := sandboxConfig(g, p.logs(g.Name))
	var id string
	err := whole(ctx, func(ctx context.Context) error {
		// First: by its sandbox a group is listed, and deleted with all it has.
		r, err := p.runtime.RunPodSandbox(ctx, &runtimeapi.RunPodSandboxRequest{Config: config, RuntimeHandler: p.handler})
		id = r.GetPodSandboxId()
		return err
	})
	if err != nil {
		return fmt.Errorf("create group %s: run sandbox: %w", g.Name, err)
	}
	if err := p.makeDirectories(g); err != nil {
		return fmt.Errorf("create group %s: %w", g.Name, err)
	}
	for _, c := range g.Init {
		if err := p.runToEnd(ctx, id, config, c); err != nil {
			return fmt.Errorf("create group %s: init container %s: %w", g.Name, c.Name, err)
		}
	}
	var starting errgroup.Group
	for _, c := range g.Containers {
		starting.Go(func() error {
			if _, err := p.start(ctx, id, config, c); err != nil {
				return fmt.Errorf("create group %s: container %s: %w", g.Name, c.Name, err)
			}
			return nil
		})
	}
	return starting.Wait()
}

// whole makes a call that is not cut short with ctx, unless that is over.
func whole(ctx context.Context, call func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	return call(ctx)
}

// start creates a container and starts it.
func (p *Provider) start(ctx context.Context, sandbox string, config *runtimeapi.PodSandboxConfig, c provider.Container) (id string, err error) {
	err = whole(ctx, func(ctx context.Context) error {
		created, err := p.runtime.CreateContainer(ctx, &runtimeapi.CreateContainerRequest{
			PodSandboxId: sandbox, SandboxConfig: config, Config: containerConfig(c, config, p.volumes(config.Metadata.Name))})
		if err != nil {
			return fmt.Errorf("create: %w", err)
		}
		id = created.ContainerId
		if _, err := p.runtime.StartContainer(ctx, &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
			return fmt.Errorf("start: %w", err)
		}
		return nil
	})
	return id, err
}

// runToEnd runs an init container, which must succeed.
func (p *Provider) runToEnd(ctx context.Context, sandbox string, config *runtimeapi.PodSandboxConfig, c provider.Container) error {
	id, err := p.start(ctx, sandbox, config, c)
	if err != nil {
		return err
	}
	for {
		r, err := p.runtime.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			return fmt.Errorf("ask for its state: %w", err)
		}
		if s := r.GetStatus(); s.GetState() == runtimeapi.ContainerState_CONTAINER_EXITED {
			if s.ExitCode != 0 {
				return fmt.Errorf("it has ended with exit code %d %s %s", s.ExitCode, s.Reason, s.Message)
			}
			return nil
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Delete kills a group's containers, removes its directory, and its sandbox
// last: as long as that is there, the group is listed and can be deleted again.
func (p *Provider) Delete(ctx context.Context, name string) error {
	list, err := p.sandboxes(ctx, map[string]string{labelGroup: name})
	if err != nil {
		return fmt.Errorf("delete group %s: %w", name, err)
	}
	for _, s := range list {
		if _, err := p.runtime.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: s.Id}); err != nil {
			return fmt.Errorf("delete group %s: stop sandbox: %w", name, err)
		}
	}
	if err := os.RemoveAll(p.group(name)); err != nil {
		return fmt.Errorf("delete group %s: %w", name, err)
	}
	for _, s := range list {
		if _, err := p.runtime.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: s.Id}); err != nil {
			return fmt.Errorf("delete group %s: remove sandbox: %w", name, err)
		}
	}
	return nil
}

// List returns the groups whose sandboxes carry the tags as labels. One whose
// sandbox does not run, as after a reboot, has ended.
func (p *Provider) List(ctx context.Context, tags map[string]string) ([]provider.Listed, error) {
	list, err := p.sandboxes(ctx, tags)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	var found []provider.Listed
	for _, s := range list {
		l := provider.Listed{Name: s.Labels[labelGroup], Tags: map[string]string{}, Ended: s.State != runtimeapi.PodSandboxState_SANDBOX_READY}
		for k, v := range s.Labels {
			if k != labelGroup {
				l.Tags[k] = v
			}
		}
		if l.Name != "" {
			found = append(found, l)
		}
	}
	return found, nil
}

func (p *Provider) sandboxes(ctx context.Context, labels map[string]string) ([]*runtimeapi.PodSandbox, error) {
	r, err := p.runtime.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{Filter: &runtimeapi.PodSandboxFilter{LabelSelector: labels}})
	return r.GetItems(), err
}

// group is the directory of a group, volumes and logs what is in it.
func (p *Provider) group(name string) string   { return filepath.Join(p.dir, name) }
func (p *Provider) volumes(name string) string { return filepath.Join(p.group(name), "volumes") }
func (p *Provider) logs(name string) string    { return filepath.Join(p.group(name), "logs") }

// makeDirectories makes a group's own, and one for each of its volumes: that
// every user of the group may write to, and no other of this machine can reach.
func (p *Provider) makeDirectories(g provider.Group) error {
	errs := []error{os.MkdirAll(p.volumes(g.Name), 0o700), os.MkdirAll(p.logs(g.Name), 0o700)}
	for _, v := range g.Volumes {
		dir := filepath.Join(p.volumes(g.Name), v)
		errs = append(errs, os.MkdirAll(dir, 0o700), os.Chmod(dir, 0o777)) // whatever the umask says
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("make its directories: %w", err)
	}
	return nil
}
