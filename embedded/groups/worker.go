package groups

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// exitUnknown is the exit code of a run whose end nobody saw.
	exitUnknown = 255
	// exitKilled is that of a run that SIGKILL ended.
	exitKilled = 137
	// exitNotStarted is that of a run whose command could not be started.
	exitNotStarted = 128
	// lookAgain is when the runtime is asked anew after it gave no answer
	// and no event came either.
	lookAgain = time.Second
)

// worker looks after one container of a deployment through all its runs.
type worker struct {
	d      *deployment
	c      Container
	policy string
	images *imageSet
	// known are the runs that the runtime already has, oldest first.
	known []*runtimeapi.Container
	// onStarted is called when a run was started; only the first call counts.
	onStarted func()

	pause    backOff
	attempt  uint32
	exitCode int32
}

// exit is how a run ended.
type exit struct {
	code              int32
	reason            string
	started, finished time.Time
	unhealthy         bool // it was killed for what its liveness probe found
}

// run makes the container now and runs it when the gate is open, again and
// again as the policy has it. It returns nil when the container has ended for
// good, or ctx's error.
func (w *worker) run(ctx context.Context, gate <-chan struct{}) error {
	if w.endedBefore() {
		w.onStarted()
		return nil
	}
	id := w.adopt()
	if id == "" {
		w.update(func(p *progress) { w.attempt = p.Attempt })
	}
	for {
		if id == "" {
			var err error
			if id, err = w.create(ctx); err != nil {
				return err
			}
		}
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
		result, err := w.once(ctx, id)
		if errors.Is(err, errNeverBegan) {
			if err := w.forget(ctx, id); err != nil {
				return err
			}
			id = ""
			continue
		}
		if err != nil {
			return err
		}
		if w.ended(result) {
			return nil
		}
		if !w.backOff(ctx, result) {
			return ctx.Err()
		}
		id = ""
		w.attempt++
		w.update(func(p *progress) { p.Restarts, p.Attempt, p.ID = int32(w.attempt), w.attempt, "" })
	}
}

// once starts the container and waits for its end.
func (w *worker) once(ctx context.Context, id string) (exit, error) {
	changed, unsubscribe := w.d.engine.watcher.subscribe(id)
	defer unsubscribe()
	state, err := w.ask(ctx, id)
	if err != nil {
		return exit{}, err
	}
	switch {
	case state == nil:
		return gone(), nil
	case neverBegan(state):
		return exit{}, errNeverBegan
	case state.State == runtimeapi.ContainerState_CONTAINER_EXITED: // while nobody looked
		w.onStarted()
		return exitOf(state), nil
	case state.State == runtimeapi.ContainerState_CONTAINER_CREATED:
		w.update(func(p *progress) { w.began(p, id) })
		ended, err := w.start(ctx, id)
		if err != nil {
			return exit{}, err
		}
		if ended != nil {
			w.onStarted()
			return *ended, nil
		}
	}
	started := w.running(ctx, id)
	w.onStarted()
	w.forgetOld(ctx)
	endProbes := w.probeRun(ctx, id, started)
	result, err := w.awaitExit(ctx, id, changed)
	result.unhealthy = endProbes()
	return result, err
}

// kill ends a run that its liveness probe has given up. Its end is noticed as
// any other.
func (w *worker) kill(ctx context.Context, id string) {
	w.event(normal, "Killing", "Killing container with id "+id+":Container failed liveness probe. Container will be killed and recreated.")
	for {
		_, err := w.d.engine.cri.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: int64(stopGrace.Seconds())})
		if err == nil || ctx.Err() != nil {
			return
		}
		w.d.engine.log.Warn("unhealthy container is not killed", "group", w.d.key, "container", w.c.Name, "error", err)
		if !sleep(ctx, lookAgain) {
			return
		}
	}
}

// running notes that the container runs, and returns since when.
func (w *worker) running(ctx context.Context, id string) time.Time {
	started := time.Now().UTC()
	if state, err := w.state(ctx, id); err == nil && state.StartedAt > 0 {
		started = time.Unix(0, state.StartedAt).UTC()
	}
	w.update(func(p *progress) {
		w.began(p, id)
		p.Started = true
		p.Current = ContainerState{State: running, StartTime: &started}
	})
	w.d.tellReadiness()
	return started
}

// awaitExit returns when the container has ended.
func (w *worker) awaitExit(ctx context.Context, id string, changed <-chan struct{}) (exit, error) {
	for {
		var again <-chan time.Time
		state, err := w.state(ctx, id)
		switch {
		case ctx.Err() != nil:
			return exit{}, ctx.Err()
		case grpcstatus.Code(err) == codes.NotFound:
			return gone(), nil
		case err != nil:
			again = time.After(lookAgain)
		case state.State == runtimeapi.ContainerState_CONTAINER_EXITED:
			return exitOf(state), nil
		case state.State == runtimeapi.ContainerState_CONTAINER_UNKNOWN:
			again = time.After(lookAgain)
		}
		select {
		case <-ctx.Done():
			return exit{}, ctx.Err()
		case <-changed:
		case <-again:
		}
	}
}

// gone is the end of a run of which the runtime knows nothing any more.
func gone() exit {
	return exit{code: exitUnknown, reason: "ContainerStatusUnknown", finished: time.Now().UTC()}
}

func exitOf(state *runtimeapi.ContainerStatus) exit {
	return exit{code: state.ExitCode, reason: state.Reason,
		started: time.Unix(0, state.StartedAt).UTC(), finished: time.Unix(0, state.FinishedAt).UTC()}
}

func (w *worker) state(ctx context.Context, id string) (*runtimeapi.ContainerStatus, error) {
	r, err := w.d.engine.cri.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		return nil, err
	}
	return r.Status, nil
}

// ask returns the state of a container, however long the runtime takes to
// answer, or nil of one that it does not know.
func (w *worker) ask(ctx context.Context, id string) (*runtimeapi.ContainerStatus, error) {
	for {
		state, err := w.state(ctx, id)
		if err == nil {
			return state, nil
		}
		if grpcstatus.Code(err) == codes.NotFound {
			return nil, nil
		}
		if !sleep(ctx, lookAgain) {
			return nil, ctx.Err()
		}
	}
}

// ended notes how the run ended and reports whether it was the last.
func (w *worker) ended(e exit) bool {
	w.exitCode = e.code
	final := !restarts(w.policy, e.code) && !(e.unhealthy && w.policy != never)
	w.update(func(p *progress) {
		p.Started, p.Final = true, final
		p.Current = ended(e.started, e.finished, e.code, e.reason)
	})
	return final
}

// backOff waits until the container may run again.
func (w *worker) backOff(ctx context.Context, e exit) bool {
	wait := w.pause.after(e.finished.Sub(e.started))
	if wait > 0 {
		w.event(warning, "BackOff", "Back-off restarting failed container")
	}
	w.update(func(p *progress) {
		last := p.Current
		p.Previous = &last
		p.Current = ContainerState{State: waiting, StartTime: last.StartTime}
		if wait > 0 {
			p.Current.DetailStatus = "CrashLoopBackOff: Back-off restarting failed"
		}
	})
	return sleep(ctx, wait)
}

func (w *worker) update(change func(*progress)) { w.d.status.update(w.c.Name, change) }

func (w *worker) event(kind, name, message string) {
	w.d.status.event(w.c.Name, kind, name, message)
}

// waits notes why the container does not run yet.
func (w *worker) waits(detail string) {
	w.update(func(p *progress) {
		if p.Current.State == waiting {
			p.Current.DetailStatus = detail
		}
	})
}

// reason is a gRPC error's text without gRPC's own words.
func reason(err error) string { return grpcstatus.Convert(err).Message() }
