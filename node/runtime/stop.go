package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
)

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
	if ended {
		return nil
	}
	if ended, err = r.ask(ctx, c, "SIGKILL", killTimeout); err != nil {
		return fmt.Errorf("kill container %s: %w", c.name(), err)
	}
	if !ended {
		return fmt.Errorf("kill container %s: it has not ended within %s", c.name(), killTimeout)
	}
	return nil
}

// killTimeout bounds the wait for the end of a container that is killed, longer
// than for its agent: who could not be asked gives the better reason.
const killTimeout = agentTimeout + 30*time.Second

// ask sends a signal and waits that long for the container's end. It reports
// whether the container has ended.
func (r *Runtime) ask(ctx context.Context, c *container, signal string, wait time.Duration) (bool, error) {
	late := time.NewTimer(wait)
	defer late.Stop()
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
	case <-late.C:
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
	agent, err := r.client(ctx, c.sandbox, c.place())
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
	if agent, ok := r.opts.Agents.Connected(protocol.ID{Group: c.sandbox.group, Container: c.place()}); ok {
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
