package runtime

import (
	"context"
	"sync"
	"time"

	"frankenetes.dev/agent/protocol"
)

// meter adds up what containers have used since the node started. The zero
// value is ready.
type meter struct {
	mu sync.Mutex
	// seen is the CPU time of each running container when last asked.
	seen  map[string]uint64
	total uint64
}

// Usage returns what all pods use together. Its CPU time never falls, though
// containers come and go: what one uses after it was last asked is not counted.
func (r *Runtime) Usage(ctx context.Context) protocol.Usage {
	sum := protocol.Usage{Time: time.Now()}
	now := map[string]uint64{}
	for _, c := range r.usages(ctx, r.allContainers()) {
		now[c.Attributes.Id] = c.Cpu.UsageCoreNanoSeconds.Value
		sum.MemoryBytes += c.Memory.UsageBytes.Value
		sum.WorkingSetBytes += c.Memory.WorkingSetBytes.Value
	}
	sum.CPUNanoseconds = r.meter.add(now)
	return sum
}

// add notes the containers' CPU times and returns the total.
func (m *meter) add(now map[string]uint64) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, used := range now {
		if before := m.seen[id]; used > before {
			m.total += used - before
		}
	}
	m.seen = now
	return m.total
}
