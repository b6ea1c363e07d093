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
	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	crierrors "k8s.io/cri-api/pkg/errors"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
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
	host := ""
	if ok {
		err = r.checkImage(ctx, sb, config, image)
	} else {
		image, host, err = r.guest(ctx, sb, config)
	}
	if err != nil {
		return "", fmt.Errorf("create container %s: %w", name, err)
	}
	c := &container{
		id: newID(), sandbox: sb, config: config, host: host, image: image, created: time.Now(), ended: make(chan struct{}),
		log: newLogCopy(filepath.Join(sandboxConfig.GetLogDirectory(), config.GetLogPath())),
	}
	if err := r.mounts(c); err != nil {
		return "", fmt.Errorf("create container %s: %w", name, err)
	}
	if err := r.mountImages(ctx, c); err != nil {
		// The kubelet counts these, by the beginning of what they say.
		return "", fmt.Errorf("%w: create container %s: %w", crierrors.ErrImageVolumeMountFailed, name, err)
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

// checkImage makes sure that a container's place in the group is of the image
// that it is to run. A pod's images can be changed while it runs, those of a
// group cannot: then the kubelet is made to replace the sandbox, by which it
// ends what runs in it in good order.
func (r *Runtime) checkImage(ctx context.Context, sb *sandbox, config *runtimeapi.ContainerConfig, made images.Image) error {
	ref := config.GetImage().GetUserSpecifiedImage()
	if ref == "" {
		return nil
	}
	// The kubelet has just seen to it that it is present.
	wanted, _, err := r.opts.Images.ForPod(ctx, sb.uid, ref, v1.PullIfNotPresent)
	if err != nil || wanted.ID == made.ID {
		return err
	}
	sb.setReady(false)
	r.record(sb)
	r.publish(sb, sb.id, runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT)
	return fmt.Errorf("the image has changed to %s: the pod's container group is made again", ref)
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
	r.reach(c.sandbox, StageKubelet)
	state, err := r.start(ctx, c)
	if err != nil {
		err = fmt.Errorf("start container %s: %w", c.name(), err)
		r.exit(c, protocol.State{Phase: protocol.Exited, ExitCode: startFailed, FinishedAt: time.Now()}, err.Error())
		return err
	}
	r.reach(c.sandbox, StageProcess)
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
	r.reach(c.sandbox, StageFiles)
	for {
		agent, err := r.client(ctx, c.sandbox, c.place())
		if err != nil {
			r.miss(c.sandbox, c.place())
			return protocol.State{}, err
		}
		if c.ephemeral() {
			err = r.furnish(ctx, c, agent)
		}
		var state protocol.State
		if err == nil {
			state, err = agent.Start(ctx, p)
		}
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
