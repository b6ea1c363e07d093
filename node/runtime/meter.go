package runtime

import (
	"context"
	"sync"
	"time"

	"frankenetes.dev/agent/protocol"
)

const (
	// sampleEvery is how often all containers are asked what they use: what one
	// uses after it was last asked is not in the node's total.
	sampleEvery = 10 * time.Second
	// rateWindow is the least time over which a rate is computed, rateFirst that
	// of a container's first one.
	rateWindow = sampleEvery * 9 / 10
	rateFirst  = time.Second
)

// Used is what something uses, with the rate at which it does now.
type Used struct {
	protocol.Usage
	// NanoCores is the CPU time used in a second, in nanoseconds, over the last
	// seconds; Rated tells whether that is known.
	NanoCores uint64
	Rated     bool
}

// add adds what a part uses.
func (u *Used) add(part Used) {
	u.CPUNanoseconds += part.CPUNanoseconds
	u.MemoryBytes += part.MemoryBytes
	u.WorkingSetBytes += part.WorkingSetBytes
	u.RSSBytes += part.RSSBytes
	u.PageFaults += part.PageFaults
	u.MajorPageFaults += part.MajorPageFaults
	u.NanoCores += part.NanoCores
	u.Rated = u.Rated || part.Rated
}

// meter adds up what containers have used since the node started. The zero
// value is ready.
type meter struct {
	mu    sync.Mutex
	total uint64
}

// reading is what is remembered of one container, for all that cannot be told
// from one look at it. It belongs to the meter.
type reading struct {
	// cpu is the most CPU time that the container has told of.
	cpu uint64
	// base is where the current window begins.
	base protocol.Usage
	rate uint64
	// rated is set when rate is known.
	rated bool
}

// note takes note of what a container uses, and returns it with its rate.
// Looks may come from several callers, and not in their order.
func (m *meter) note(r *reading, u protocol.Usage) Used {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.base.Time.IsZero() {
		r.base = u
	}
	if u.CPUNanoseconds > r.cpu {
		m.total += u.CPUNanoseconds - r.cpu
		r.cpu = u.CPUNanoseconds
	}
	span := u.Time.Sub(r.base.Time)
	if span >= rateWindow || span >= rateFirst && !r.rated {
		used := u.CPUNanoseconds - min(r.base.CPUNanoseconds, u.CPUNanoseconds)
		r.rate, r.rated = uint64(float64(used)/span.Seconds()), true
	}
	if span >= rateWindow {
		r.base = u
	}
	return Used{Usage: u, NanoCores: r.rate, Rated: r.rated}
}

func (m *meter) sum() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total
}

// Usage returns what all pods use together. Its CPU time never falls, though
// containers come and go.
func (r *Runtime) Usage(ctx context.Context) Used {
	return r.nodeUsage(r.measure(ctx, r.allContainers()))
}

// nodeUsage is what the node uses, of which all has been measured.
func (r *Runtime) nodeUsage(all []measured) Used {
	node := Used{Usage: protocol.Usage{Time: time.Now()}}
	for _, m := range all {
		node.add(m.used)
	}
	node.CPUNanoseconds = r.meter.sum()
	return node
}

// keepMeter looks at all containers again and again, until the runtime ends.
func (r *Runtime) keepMeter() {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-r.life.Done():
			return
		case <-ticker.C:
			r.measure(r.life, r.allContainers())
		}
	}
}
