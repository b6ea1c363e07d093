package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
)

// startFailed is the exit code of a container that could not be started.
const startFailed = 128

// CreateContainer notes what a container is to run. Nothing is asked of the
// cloud: the group has held a place for it from the start.
func (r *Runtime) CreateContainer(ctx context.Context, sandboxID string, config *runtimeapi.ContainerConfig,
	sandboxConfig *runtimeapi.PodSandboxConfig) (string, error) {
	name := config.GetMetadata().GetName()
	sb, err := r.sandbox(sandboxID)
	if err != nil {
		return "", err
	}
	if sb.group == "" {
		return "", fmt.Errorf("create container %s: %w", name, r.unready(ctx, sb))
	}
	image, ok := sb.images[name]
	if !ok {
		return "", status.Errorf(codes.Unimplemented,
			"create container %s: the pod's container group was made without it, and cannot be given more", name)
	}
	c := &container{
		id: newID(), sandbox: sb, config: config, image: image, created: time.Now(), ended: make(chan struct{}),
		log: newLogCopy(filepath.Join(sandboxConfig.GetLogDirectory(), config.GetLogPath())),
	}
	if err := r.mounts(c); err != nil {
		return "", fmt.Errorf("create container %s: %w", name, err)
	}
	sb.mu.Lock()
	if !sb.ready {
		sb.mu.Unlock()
		return "", status.Errorf(codes.FailedPrecondition, "create container %s: sandbox %s is not ready", name, sandboxID)
	}
	sb.containers[c.id] = c
	sb.mu.Unlock()
	r.mu.Lock()
	r.containers[c.id] = c
	r.mu.Unlock()
	r.record(sb)
	r.publish(sb, c.id, runtimeapi.ContainerEventType_CONTAINER_CREATED_EVENT)
	return c.id, nil
}

// StartContainer gives the container's volumes their content and has its agent
// start its program.
func (r *Runtime) StartContainer(ctx context.Context, id string) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	if s := c.current(); s != runtimeapi.ContainerState_CONTAINER_CREATED {
		return status.Errorf(codes.FailedPrecondition, "start container %s: it is %s", c.name(), s)
	}
	state, err := r.start(ctx, c)
	if err != nil {
		err = fmt.Errorf("start container %s: %w", c.name(), err)
		r.exit(c, protocol.State{Phase: protocol.Exited, ExitCode: startFailed, FinishedAt: time.Now()}, err.Error())
		return err
	}
	r.observe(c.sandbox, state)
	return nil
}

func (r *Runtime) start(ctx context.Context, c *container) (protocol.State, error) {
	p, err := r.process(c)
	if err != nil {
		return protocol.State{}, err
	}
	if err := c.log.create(); err != nil {
		return protocol.State{}, err
	}
	if err := r.fill(ctx, c); err != nil {
		return protocol.State{}, err
	}
	for {
		agent, err := r.client(ctx, c.sandbox, c.name())
		if err != nil {
			return protocol.State{}, err
		}
		state, err := agent.Start(ctx, p)
		var refusal *protocol.Error
		switch {
		case err == nil:
			return state, nil
		case errors.As(err, &refusal) && refusal.Status == http.StatusConflict:
			// The answer to an earlier attempt was lost with its connection.
			return protocol.State{ID: c.id, Phase: protocol.Running, StartedAt: time.Now()}, nil
		case errors.As(err, &refusal), ctx.Err() != nil:
			return protocol.State{}, err
		}
		if err := again(ctx, agent); err != nil {
			return protocol.State{}, err
		}
	}
}

// StopContainer asks a container to end and kills it when the time, in
// seconds, is over. It returns when it has ended.
func (r *Runtime) StopContainer(ctx context.Context, id string, timeout int64) error {
	c, err := r.container(id)
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if c.current() != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return nil
	}
	ended := false
	if timeout > 0 {
		if ended, err = r.ask(ctx, c, stopSignal(c.config, c.image), time.Duration(timeout)*time.Second); err != nil {
			return fmt.Errorf("stop container %s: %w", c.name(), err)
		}
	}
	if !ended {
		if _, err = r.ask(ctx, c, "SIGKILL", 0); err != nil {
			return fmt.Errorf("kill container %s: %w", c.name(), err)
		}
	}
	return nil
}

// ask sends a signal and waits for the container's end, for ever if the time
// is zero. It reports whether the container has ended.
func (r *Runtime) ask(ctx context.Context, c *container, signal string, wait time.Duration) (bool, error) {
	var late <-chan time.Time
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		late = timer.C
	}
	failed := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r.tasks.start(func() {
		if err := r.signal(ctx, c, signal); err != nil {
			failed <- err
		}
	})
	select {
	case <-c.ended:
		return true, nil
	case <-late:
		return false, nil
	case err := <-failed:
		if c.current() == runtimeapi.ContainerState_CONTAINER_EXITED {
			return true, nil
		}
		return false, err
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// signal sends a signal to a container that may have ended meanwhile.
func (r *Runtime) signal(ctx context.Context, c *container, name string) error {
	agent, err := r.client(ctx, c.sandbox, c.name())
	if err != nil {
		return err
	}
	err = agent.Signal(ctx, c.id, name)
	var refusal *protocol.Error
	if errors.As(err, &refusal) && refusal.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// RemoveContainer forgets a container, killing it if it runs.
func (r *Runtime) RemoveContainer(ctx context.Context, id string) error {
	c, err := r.container(id)
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if err := r.StopContainer(ctx, id, 0); err != nil {
		return err
	}
	if agent, ok := r.opts.Agents.Connected(protocol.ID{Group: c.sandbox.group, Container: c.name()}); ok {
		if err := agent.Remove(ctx, id); err != nil {
			r.log.Debug("agent keeps a container's log", "container", id, "error", err)
		}
	}
	r.mu.Lock()
	delete(r.containers, id)
	r.mu.Unlock()
	c.sandbox.mu.Lock()
	delete(c.sandbox.containers, id)
	c.sandbox.mu.Unlock()
	r.record(c.sandbox)
	r.publish(c.sandbox, id, runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT)
	return nil
}

// ContainerStatus returns the state of a container.
func (r *Runtime) ContainerStatus(_ context.Context, id string, _ bool) (*runtimeapi.ContainerStatusResponse, error) {
	c, err := r.container(id)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.ContainerStatusResponse{Status: c.status()}, nil
}

// ListContainers returns the containers that a filter lets through.
func (r *Runtime) ListContainers(_ context.Context, filter *runtimeapi.ContainerFilter) ([]*runtimeapi.Container, error) {
	var list []*runtimeapi.Container
	for _, c := range r.allContainers() {
		if item := c.item(); wantsContainer(filter, item) {
			list = append(list, item)
		}
	}
	return list, nil
}

// UpdateContainerResources is refused: a group's size is fixed when it is made.
func (r *Runtime) UpdateContainerResources(context.Context, string, *runtimeapi.ContainerResources) error {
	return status.Error(codes.Unimplemented, errFixedSize.Error())
}

// CheckpointContainer is refused: a process in a group cannot be frozen.
func (r *Runtime) CheckpointContainer(context.Context, *runtimeapi.CheckpointContainerRequest) error {
	return status.Error(codes.Unimplemented, "a container of a container group cannot be checkpointed")
}

// ReopenContainerLog is called when the kubelet has moved a log file away.
func (r *Runtime) ReopenContainerLog(_ context.Context, id string) error {
	c, err := r.container(id)
	if err != nil {
		return err
	}
	if c.current() != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return status.Errorf(codes.FailedPrecondition, "reopen log of container %s: it does not run", c.name())
	}
	if err := c.log.reopen(); err != nil {
		return err
	}
	r.record(c.sandbox)
	return nil
}

// container finds a container by ID.
func (r *Runtime) container(id string) (*container, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[id]; c != nil {
		return c, nil
	}
	return nil, status.Errorf(codes.NotFound, "there is no container %s", id)
}

func (r *Runtime) allContainers() []*container {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*container, 0, len(r.containers))
	for _, c := range r.containers {
		all = append(all, c)
	}
	return all
}
