package disk

import (
	"context"
	"errors"
	"sync"
	"time"

	"frankenetes.dev/agent/protocol"
)

const (
	// share is the part of a CPU, at most, that measuring takes: one in so many.
	share = 20
	// patience is how long a reader waits for what is being measured.
	patience = time.Second
)

// ErrUnknown is the error of reading what was not measured yet.
var ErrUnknown = errors.New("it was not measured yet")

// Gauge measures one thing when somebody wants to know and a while has passed,
// so that asking often costs nothing and a million files only now and then. It
// is safe for concurrent use, and to be closed.
type Gauge struct {
	measure func(context.Context) (protocol.Disk, error)
	life    context.Context
	end     context.CancelFunc
	work    sync.WaitGroup

	mu   sync.Mutex
	last protocol.Disk
	err  error
	// measured is when the last look ended, rest how long there is to be none.
	measured time.Time
	rest     time.Duration
	// busy is closed at the end of the look that is being taken.
	busy chan struct{}
}

// NewGauge returns a gauge that has nothing measured yet.
func NewGauge(measure func(context.Context) (protocol.Disk, error)) *Gauge {
	g := &Gauge{measure: measure, err: ErrUnknown}
	g.life, g.end = context.WithCancel(context.Background())
	return g
}

// Read returns the last measurement. One that is older than age is taken again,
// unless that has taken too much lately, and for a while waited for.
func (g *Gauge) Read(ctx context.Context, age time.Duration) (protocol.Disk, error) {
	if busy := g.look(age); busy != nil {
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case <-busy:
		case <-late.C:
		case <-ctx.Done():
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last, g.err
}

// look sees to it that there is a look if one is due, and returns what is closed
// at its end.
func (g *Gauge) look(age time.Duration) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy != nil || g.life.Err() != nil || time.Since(g.measured) < max(age, g.rest) {
		return g.busy
	}
	busy := make(chan struct{})
	g.busy = busy
	g.work.Go(func() {
		defer close(busy)
		began := time.Now()
		found, err := g.measure(g.life)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.last, g.err, g.busy = found, err, nil
		g.measured, g.rest = time.Now(), share*time.Since(began)
	})
	return busy
}

// Close ends measuring, and waits for that.
func (g *Gauge) Close() {
	g.mu.Lock() // nothing starts from here on
	g.end()
	g.mu.Unlock()
	g.work.Wait()
}
