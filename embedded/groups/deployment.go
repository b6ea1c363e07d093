package groups

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"frankenetes.dev/embedded/network"
)

// provisioningTimeout is how long a deployment may take until it counts as failed.
const provisioningTimeout = 30 * time.Minute

var (
	// errSandboxLost ends a life whose sandbox ended without our doing.
	errSandboxLost = errors.New("the sandbox ended")
	// errInitFailed ends a life whose init container failed for good.
	errInitFailed = errors.New("an init container failed")
)

// deployment is a group that is meant to run: its sandbox, its containers and
// the goroutine that looks after them. A group that is replaced, restarted or
// started again gets a new one.
type deployment struct {
	engine *engine
	key    string
	uid    string
	group  *Group // with its secrets; never changed
	status *status
	cgroup string // the control group's path, once there is a sandbox
	ids    ownIDs // the sandbox's, likewise
	life   uint32 // how often a sandbox was made before this one
	// place is what it has of the network.
	place network.Place
	// floor are the numbers from which on runs count, for each container: the
	// others are from before a restart of the group.
	floor map[string]uint32
	// address is told the address that the group has now, or an invalid one.
	address func(netip.Addr)
	// over puts it on record that every container has ended for good.
	over func() error

	cancel  context.CancelFunc
	done    chan struct{} // closed when the goroutine has returned
	started time.Time

	mu      sync.Mutex
	sandbox string // the id of the live sandbox; empty without one
	netnsOf struct{ sandbox, path string }

	telling sync.Mutex // held while readiness is told

	mounting sync.Mutex        // held while volumes are made
	mounted  map[string]string // where each volume is, once they are made
}

// deploy starts a deployment. found is what the runtime already has of it.
// ended is called, from the deployment's goroutine, when every container has
// ended for good and nothing is left in the runtime.
func (e *engine) deploy(ctx context.Context, d *deployment, found *found, ended func()) {
	ctx, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	d.engine, d.done, d.started = e, make(chan struct{}), time.Now()
	if found != nil { // from now on it is the deployment's own, however soon that is restarted
		d.ids = found.ids
		d.setSandbox(found.sandbox)
		d.status.setIP(d.place.Own().String())
	}
	d.restore(found)
	var keeping sync.WaitGroup
	keep, kept := context.WithCancel(context.Background())
	keeping.Go(func() { d.keepState(keep) })
	go func() {
		defer close(d.done)
		timeout := time.AfterFunc(provisioningTimeout, func() { d.status.provision(failed) })
		defer timeout.Stop()
		over := d.run(ctx, found)
		// Before anyone can think that it is over, and remove the directory.
		kept()
		keeping.Wait()
		if over {
			ended()
		}
	}()
}

// run keeps the group alive through lost sandboxes and failing mounts, until
// it has ended (true) or ctx is done (false), when everything is left as it is.
func (d *deployment) run(ctx context.Context, found *found) bool {
	d.status.provision(creating)
	var pause backOff
	for {
		begun := time.Now()
		err := d.live(ctx, found)
		found = nil
		if ctx.Err() != nil {
			return false
		}
		d.address(netip.Addr{})
		over := err == nil || errors.Is(err, errInitFailed)
		if over {
			d.status.provision(failed) // no effect when it had succeeded
			// The record first: whoever is there when the daemon dies half
			// way through takes the rest down.
			if !d.recordEnd(ctx) {
				return false
			}
		}
		if downErr := d.takeDown(context.WithoutCancel(ctx), 0); downErr != nil {
			d.engine.log.Error("group is not taken down", "group", d.key, "error", downErr)
		}
		if over {
			return true
		}
		d.engine.log.Warn("group failed; trying again", "group", d.key, "error", err)
		if !sleep(ctx, pause.after(time.Since(begun))) {
			return false
		}
		d.status.again(d.group)
		d.life++
	}
}

// recordEnd puts the end on record, however long that takes on a full disk,
// and reports false when ctx was done first.
func (d *deployment) recordEnd(ctx context.Context) bool {
	for {
		err := d.over()
		if err == nil {
			return true
		}
		d.engine.log.Error("result of group is not stored", "group", d.key, "error", err)
		if !sleep(ctx, lookAgain) {
			return false
		}
	}
}

// live brings the group up and returns when its containers have ended for
// good (nil or errInitFailed) or it cannot go on.
func (d *deployment) live(ctx context.Context, found *found) error {
	images := d.fetchImages(ctx, found == nil) // what was adopted may never need them
	defer images.stop()
	if err := d.prepare(ctx, found); err != nil {
		return err
	}
	ctx, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	ended, unsubscribe := d.engine.watcher.subscribe(d.sandboxID())
	var watching sync.WaitGroup
	watching.Go(func() {
		defer unsubscribe()
		d.watchSandbox(ctx, ended, lost)
	})
	err := d.runContainers(ctx, images, found)
	cause := context.Cause(ctx)
	lost(nil)
	watching.Wait()
	if !errors.Is(cause, errSandboxLost) {
		return err
	}
	if d.group.Properties.RestartPolicy == never {
		d.status.lost(exitUnknown)
		return nil
	}
	d.status.event("", warning, "SandboxChanged", "The sandbox ended; the container group is deployed anew")
	return cause
}

// prepare makes, side by side, what containers need before they can be made.
// What runs already has it, and goes on whatever became of that since.
func (d *deployment) prepare(ctx context.Context, found *found) error {
	if found != nil {
		return d.takeOver(ctx, found)
	}
	var work errgroup.Group
	work.Go(func() error {
		_, err := d.volumes(ctx)
		return err
	})
	work.Go(func() error {
		err := d.runSandbox(ctx)
		if err != nil && ctx.Err() == nil {
			d.status.event("", warning, "FailedCreatePodSandBox", err.Error())
		}
		return err
	})
	return work.Wait()
}

// runContainers runs the init containers one after another and then the
// others side by side, which are made, but not started, meanwhile.
func (d *deployment) runContainers(ctx context.Context, images *imageSet, found *found) error {
	d.tellReadiness() // before anything runs
	p := d.group.Properties
	initialised := make(chan struct{})
	work, workCtx := errgroup.WithContext(ctx)
	var remaining atomic.Int32
	remaining.Store(int32(len(p.Containers)))
	for _, c := range p.Containers {
		w := d.worker(c, images, p.RestartPolicy, found)
		w.onStarted = sync.OnceFunc(func() {
			if remaining.Add(-1) == 0 {
				d.ready()
			}
		})
		work.Go(func() error { return w.run(workCtx, initialised) })
	}
	work.Go(func() error {
		if err := d.runInit(workCtx, images, found); err != nil {
			return err
		}
		close(initialised)
		return nil
	})
	return work.Wait()
}

// runInit runs the init containers, one after another.
func (d *deployment) runInit(ctx context.Context, images *imageSet, found *found) error {
	open := make(chan struct{})
	close(open)
	for _, c := range d.group.Properties.InitContainers {
		w := d.worker(c, images, initPolicy(d.group.Properties.RestartPolicy), found)
		if found.pastInit(d.group) {
			w.adoptEnded()
			continue
		}
		if err := w.run(ctx, open); err != nil {
			return err
		}
		if w.exitCode != 0 {
			return fmt.Errorf("%w: %s exited with %d", errInitFailed, c.Name, w.exitCode)
		}
	}
	return nil
}

// ready notes that every container was started for the first time.
func (d *deployment) ready() {
	d.status.provision(succeeded)
	d.engine.log.Info("group is up", "group", d.key, "took", time.Since(d.started).Round(time.Millisecond))
}

// worker returns what looks after one container.
func (d *deployment) worker(c Container, images *imageSet, policy string, found *found) *worker {
	return &worker{d: d, c: c, policy: policy, images: images, onStarted: func() {}, known: found.runs(c.Name)}
}

// watchSandbox ends the life when the sandbox is not ready any more.
func (d *deployment) watchSandbox(ctx context.Context, ended <-chan struct{}, lost context.CancelCauseFunc) {
	for { // looking first: it may have ended before anyone listened
		if ready, err := d.sandboxReady(ctx); err == nil && !ready {
			lost(errSandboxLost)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ended:
		}
	}
}

func (d *deployment) sandboxID() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sandbox
}

func (d *deployment) setSandbox(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sandbox = id
}

// release ends the goroutine and leaves the containers running.
func (d *deployment) release() {
	d.cancel()
	<-d.done
}

// stop ends the goroutine and the containers. grace is how long they have
// after SIGTERM; none means that they are killed at once.
func (d *deployment) stop(ctx context.Context, grace time.Duration) error {
	d.release()
	d.address(netip.Addr{})
	return d.takeDown(ctx, grace)
}

// sleep waits, and reports false when ctx was done first.
func sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
