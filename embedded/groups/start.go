package groups

import (
	"context"
	"errors"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// startError is the runtime's reason for a run that it could not start.
const startError = "StartError"

// errNeverBegan says that a container was never started although the runtime
// takes it for one that has ended.
var errNeverBegan = errors.New("the start was cut short")

// neverBegan reports whether the runtime could not start a container for a daemon
// that did not live to hear of it, more often than not because it had died and
// nobody waited for the start any more. That is no end of a run: if it cannot
// be started, it will not be the second time.
func neverBegan(state *runtimeapi.ContainerStatus) bool {
	return state.State == runtimeapi.ContainerState_CONTAINER_EXITED && state.Reason == startError
}

// forAnother reports whether the runtime refuses to start a container because
// it does, or did, so for somebody else.
func forAnother(err error) bool { return strings.Contains(reason(err), "failed to set starting state") }

// start starts the container, and returns how it ended if it has already. A
// command that cannot be started is a run that has failed. A runtime that dies
// while it is asked, or that is still at it because an earlier daemon had
// asked, is asked again.
func (w *worker) start(ctx context.Context, id string) (*exit, error) {
	for {
		err := w.askToStart(ctx, id)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			w.event(normal, "Started", "Started container")
			return nil, nil
		}
		state, stateErr := w.state(ctx, id)
		switch {
		case grpcstatus.Code(stateErr) == codes.NotFound:
			return w.notStarted(err), nil
		case stateErr != nil || state.State == runtimeapi.ContainerState_CONTAINER_CREATED:
			w.d.engine.log.Debug("container is not started yet", "group", w.d.key, "container", w.c.Name, "error", err)
			if !sleep(ctx, lookAgain) {
				return nil, ctx.Err()
			}
			continue
		case state.Reason == startError && forAnother(err):
			return nil, errNeverBegan
		case state.Reason == startError:
			return w.notStarted(err), nil
		}
		// It was started; only the answer was lost.
		w.event(normal, "Started", "Started container")
		if state.State == runtimeapi.ContainerState_CONTAINER_EXITED {
			e := exitOf(state)
			return &e, nil
		}
		return nil, nil
	}
}

func (w *worker) askToStart(ctx context.Context, id string) error {
	// Not cut short: what is half started is hard to take down.
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	_, err := w.d.engine.cri.StartContainer(call, &runtimeapi.StartContainerRequest{ContainerId: id})
	return err
}

// notStarted is the end of a run that did not begin.
func (w *worker) notStarted(err error) *exit {
	w.event(warning, "Failed", "Error: failed to start container: "+reason(err))
	now := time.Now().UTC()
	return &exit{code: exitNotStarted, reason: startError, started: now, finished: now}
}

// forget removes a container that was never started, so that there can be
// another one for the same run. It returns an error when ctx is done before.
func (w *worker) forget(ctx context.Context, id string) error {
	for {
		err := w.d.engine.removeContainer(ctx, id)
		if err == nil {
			err = w.d.engine.removeLog(w.d.uid, w.c.Name, w.attempt)
		}
		if err == nil {
			return nil
		}
		w.d.engine.log.Warn("container that was not started is not removed", "group", w.d.key, "container", w.c.Name, "error", err)
		if !sleep(ctx, lookAgain) {
			return ctx.Err()
		}
	}
}
