package groups

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// The numbers of a probe that does not say them are those of Kubernetes. The
// first three are in seconds.
const (
	probeDelay, probePeriod, probeTimeout = 0, 10, 1
	probeSuccesses, probeFailures         = 1, 3
)

func orNumber(n *integer, otherwise int) int {
	if n == nil || *n == 0 {
		return otherwise
	}
	return int(*n)
}

func seconds(n *integer, otherwise int) time.Duration {
	return time.Duration(orNumber(n, otherwise)) * time.Second
}

// prober asks one run of a container, again and again, how it is.
type prober struct {
	kind  string // "Liveness" or "Readiness", as events have it
	probe *Probe
	// well is what is believed until there are enough answers to the contrary.
	well bool
	// check asks once. failure is empty when all is well; an error says
	// nothing about the container.
	check func(ctx context.Context) (failure string, err error)
	// event notes an answer that was not good.
	event func(message string)
	// changed is told of each change of mind, and reports whether to go on.
	changed func(ctx context.Context, well bool) bool
}

// run probes a container that was started at a time until ctx is done.
func (p *prober) run(ctx context.Context, started time.Time) {
	if !sleep(ctx, time.Until(started.Add(seconds(p.probe.InitialDelaySeconds, probeDelay)))) {
		return
	}
	tick := time.NewTicker(max(seconds(p.probe.PeriodSeconds, probePeriod), time.Second))
	defer tick.Stop()
	for same, last := 0, p.well; ; {
		well, err := p.once(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			if well != last {
				same, last = 0, well
			}
			same++
			if well != p.well && same >= p.threshold(well) {
				p.well = well
				if !p.changed(ctx, well) {
					return
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *prober) threshold(well bool) int {
	if well {
		return orNumber(p.probe.SuccessThreshold, probeSuccesses)
	}
	return orNumber(p.probe.FailureThreshold, probeFailures)
}

// once asks and notes what is amiss.
func (p *prober) once(ctx context.Context) (well bool, err error) {
	failure, err := p.check(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		p.event(fmt.Sprintf("%s probe errored: %s", p.kind, err))
	case failure != "":
		p.event(fmt.Sprintf("%s probe failed: %s", p.kind, failure))
	}
	return failure == "", err
}

// probeRun starts the probes of a container's run. Call the function to end
// them; it reports whether the run was killed for what they found.
func (w *worker) probeRun(life context.Context, id string, started time.Time) (end func() (killed bool)) {
	ctx, cancel := context.WithCancel(life)
	var probing sync.WaitGroup
	killed := false
	unwell := func(message string) { w.event(warning, "Unhealthy", message) }
	if p := w.c.Properties.LivenessProbe; p != nil {
		liveness := &prober{kind: "Liveness", probe: p, well: true, check: w.checkOf(p, id), event: unwell,
			changed: func(ctx context.Context, _ bool) bool {
				killed = true
				w.kill(ctx, id)
				return false
			}}
		probing.Go(func() { liveness.run(ctx, started) })
	}
	if p := w.c.Properties.ReadinessProbe; p != nil {
		readiness := &prober{kind: "Readiness", probe: p, well: w.isReady(), check: w.checkOf(p, id), event: unwell,
			changed: func(_ context.Context, well bool) bool {
				w.setReady(well)
				return true
			}}
		probing.Go(func() { readiness.run(ctx, started) })
	}
	return func() bool {
		cancel()
		probing.Wait()
		if w.c.Properties.ReadinessProbe != nil && life.Err() == nil {
			w.setReady(false) // the run has ended
		}
		return killed
	}
}
