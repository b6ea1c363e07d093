package sleep

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// cluster is one whose use a test says.
type cluster struct {
	mu     sync.Mutex
	use    Use
	err    error
	fails  int // pauses that fail
	paused time.Time
	notes  []Note
}

func (c *cluster) watch(t *testing.T, after time.Duration) Watch {
	return Watch{
		After: after, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Look: func(context.Context) (Use, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.use, c.err
		},
		Tell: func(_ context.Context, n Note) error { c.notes = append(c.notes, n); return nil },
		Pause: func(context.Context) error {
			if c.fails--; c.fails >= 0 {
				return errors.New("the cloud does not answer")
			}
			c.paused = time.Now()
			return nil
		},
	}
}

// asleep runs a watch while script changes what use there is, and returns after
// how long the cluster was paused.
func asleep(t *testing.T, c *cluster, script func()) (after time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		done := make(chan struct{})
		ctx, end := context.WithTimeout(t.Context(), 24*time.Hour)
		defer end()
		go func() {
			defer close(done)
			c.watch(t, 15*time.Minute).Run(ctx)
		}()
		script()
		<-done
		after = c.paused.Sub(start)
	})
	return after
}

// near reports whether a time is what it should be, but for a look.
func near(got, want time.Duration) bool { return got >= want && got <= want+2*mostPause }

func TestItSleepsWhenNobodyUsesIt(t *testing.T) {
	c := &cluster{use: Use{Requests: 7}}
	if after := asleep(t, c, func() {}); !near(after, 15*time.Minute) {
		t.Errorf("paused after %v", after)
	}
	if last := c.notes[len(c.notes)-1]; !last.Falling {
		t.Errorf("the last note is %+v", last)
	}
	if first := c.notes[0]; first.At.Sub(first.Used) != 15*time.Minute {
		t.Errorf("the first note is %+v", first)
	}
}

func TestUseKeepsItAwake(t *testing.T) {
	for name, use := range map[string]func(c *cluster, on bool){
		"requests":                             func(c *cluster, on bool) { c.use.Requests++ },
		"an API server that has started again": func(c *cluster, on bool) { c.use.Requests-- },
		"a session":                            func(c *cluster, on bool) { c.use.Sessions = map[bool]float64{true: 1}[on] },
		"pods":                                 func(c *cluster, on bool) { c.use.Pods = map[bool]int{true: 1}[on] },
		"an API server that does not answer":   func(c *cluster, on bool) { c.err = map[bool]error{true: errors.New("no answer")}[on] },
	} {
		c := &cluster{use: Use{Requests: 7}}
		at := func(later time.Duration, on bool) {
			time.Sleep(later)
			c.mu.Lock()
			defer c.mu.Unlock()
			use(c, on)
		}
		after := asleep(t, c, func() {
			at(10*time.Minute, true)
			at(time.Minute, false)
		})
		if !near(after, 25*time.Minute) && !near(after, 26*time.Minute) {
			t.Errorf("%s: paused after %v", name, after)
		}
	}
}

func TestAPauseThatFailsIsTriedAgain(t *testing.T) {
	c := &cluster{fails: 2}
	if after := asleep(t, c, func() {}); after < 15*time.Minute+2*mostPause {
		t.Errorf("paused after %v", after)
	}
}
