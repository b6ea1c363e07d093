package agent

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"time"

	"frankenetes.dev/agent/protocol"
)

// patience is how long one who is attached may take to accept output. The
// process waits for that long, so that a slow client misses nothing; one that
// is stopped altogether is let go rather than stopping the container.
const patience = 10 * time.Second

// audience are those attached to a process.
type audience struct {
	patience time.Duration

	mu      sync.Mutex
	members map[*member]struct{}
	over    bool
	// exitCode is the process's, valid once over.
	exitCode int32
}

// member is one client that is attached. Its owner reads output until that is
// closed, or gone is.
type member struct {
	output chan piece
	gone   chan struct{}
	leave  sync.Once
}

// piece is some output of a process.
type piece struct {
	kind protocol.Kind
	data []byte
}

func newAudience(patience time.Duration) *audience {
	return &audience{patience: patience, members: map[*member]struct{}{}}
}

// join adds a member. One that joins when all is over sees just that.
func (a *audience) join() *member {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := &member{output: make(chan piece), gone: make(chan struct{})}
	if a.over {
		close(m.output)
		return m
	}
	a.members[m] = struct{}{}
	return m
}

// dismiss removes a member.
func (a *audience) dismiss(m *member) {
	a.mu.Lock()
	delete(a.members, m)
	a.mu.Unlock()
	m.leave.Do(func() { close(m.gone) })
}

// send gives output to every member and waits until each has taken it.
func (a *audience) send(kind protocol.Kind, data []byte) {
	a.mu.Lock()
	members := slices.Collect(maps.Keys(a.members))
	a.mu.Unlock()
	if len(members) == 0 {
		return
	}
	p := piece{kind, bytes.Clone(data)}
	for _, m := range members {
		select {
		case m.output <- p:
		case <-m.gone:
		case <-time.After(a.patience):
			a.dismiss(m)
		}
	}
}

// close ends it, after the last send.
func (a *audience) close(exitCode int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over, a.exitCode = true, exitCode
	for m := range a.members {
		close(m.output)
	}
	clear(a.members)
}

// outcome is how the process ended, once the output of a member is closed.
func (a *audience) outcome() protocol.Outcome {
	a.mu.Lock()
	defer a.mu.Unlock()
	return protocol.Outcome{ExitCode: a.exitCode}
}
