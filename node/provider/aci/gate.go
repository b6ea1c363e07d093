package aci

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// gate is where requests of one kind pass on their way to a cloud that may
// throttle them. ARM counts the requests of a whole subscription: when it has
// answered one with 429, it answers all so until the time that it says. So none
// is sent before that, and then they go one after another: a single request
// finds out whether there is room again.
type gate struct {
	// patience is how long a request waits here. One that would have to wait
	// for longer fails with what the cloud said, so that its pod can say it.
	patience time.Duration
	// turn is held by whoever passes while the cloud throttles.
	turn chan struct{}

	mu sync.Mutex
	// why is what the cloud said, nil when nothing is in the way; opens is when
	// it wants to be asked again.
	why   error
	opens time.Time
	// queue is how many wait for their turn or have it.
	queue int
}

func newGate(patience time.Duration) *gate {
	return &gate{patience: patience, turn: make(chan struct{}, 1)}
}

// pass makes a request as soon as the cloud takes it.
func (g *gate) pass(ctx context.Context, request func() error) error {
	if g.closed() == nil {
		if err := request(); !g.note(err) {
			return err
		}
	}
	late := time.Now().Add(g.patience)
	leave, err := g.takeTurn(ctx, late)
	if err != nil {
		return err
	}
	defer leave()
	for {
		if err := g.await(ctx, late); err != nil {
			return err
		}
		if err := request(); !g.note(err) {
			return err
		}
	}
}

// closed returns what the cloud said if it throttles.
func (g *gate) closed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.why
}

// note looks at a request's outcome and reports whether it was throttled.
func (g *gate) note(err error) bool {
	if !throttled(err) {
		return false
	}
	opens := time.Now().Add(retryAfter(err, unsaid))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.why = err
	if opens.After(g.opens) {
		g.opens = opens
	}
	return true
}

// takeTurn waits until no other request is under way. Who leaves as the last,
// and has not found the cloud throttling, opens the gate for all.
func (g *gate) takeTurn(ctx context.Context, late time.Time) (leave func(), err error) {
	g.mu.Lock()
	g.queue++
	g.mu.Unlock()
	out := func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.queue--
		if g.queue == 0 && !time.Now().Before(g.opens) {
			g.why = nil
		}
	}
	timer := time.NewTimer(time.Until(late))
	defer timer.Stop()
	select {
	case g.turn <- struct{}{}:
		return func() { <-g.turn; out() }, nil
	case <-timer.C:
		err = g.closed()
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	out()
	return nil, err
}

// await waits for the time that the cloud has said, if that is soon enough.
func (g *gate) await(ctx context.Context, late time.Time) error {
	g.mu.Lock()
	opens, why := g.opens, g.why
	g.mu.Unlock()
	if why == nil || !time.Now().Before(opens) {
		return nil
	}
	if opens.After(late) {
		return why
	}
	return sleep(ctx, time.Until(opens))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func throttled(err error) bool {
	var e *azcore.ResponseError
	return errors.As(err, &e) && e.StatusCode == http.StatusTooManyRequests
}

// retryAfter is how long the cloud wants not to be asked, unsaid where its
// answer does not tell.
func retryAfter(err error, unsaid time.Duration) time.Duration {
	var e *azcore.ResponseError
	if !errors.As(err, &e) || e.RawResponse == nil {
		return unsaid
	}
	for _, one := range []struct {
		header string
		unit   time.Duration
	}{{"Retry-After-Ms", time.Millisecond}, {"X-Ms-Retry-After-Ms", time.Millisecond}, {"Retry-After", time.Second}} {
		value := e.RawResponse.Header.Get(one.header)
		if n, err := strconv.ParseFloat(value, 64); err == nil && n > 0 {
			return time.Duration(n * float64(one.unit))
		}
		if at, err := http.ParseTime(value); err == nil && time.Until(at) > 0 {
			return time.Until(at)
		}
	}
	return unsaid
}
