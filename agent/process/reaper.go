// Package process starts programs in the agent's container and learns how they
// end. It exists because the agent is PID 1: every orphan of the container
// becomes its child, so it has to wait for children that it never started, and
// os/exec does not get along with somebody who waits for everything.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Reaper waits for all children of this operating system process; there can be
// only one. It is safe for concurrent use.
type Reaper struct {
	// mu is held while a child is started, reaped or signalled. So a child is
	// known before it can be reaped, and a PID that is signalled is still the
	// child's and not that of a stranger who got it next.
	mu       sync.Mutex
	children map[int]*Child
	// reaped is closed, and replaced, after children were reaped.
	reaped chan struct{}
}

// NewReaper returns a reaper; Run makes it work.
func NewReaper() *Reaper {
	return &Reaper{children: map[int]*Child{}, reaped: make(chan struct{})}
}

// Child is a program that was started.
type Child struct {
	// PID is also the number of the child's session and process group.
	PID int
	// Started is when it was.
	Started time.Time

	reaper *Reaper
	owner  string
	done   chan struct{}
	// status and finished are valid once done is closed.
	status   unix.WaitStatus
	finished time.Time
}

// Adopt makes the orphans of this process's descendants its children, as those
// of PID 1 are anyway.
func Adopt() error {
	if os.Getpid() == 1 {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of orphans: %w", err)
	}
	return nil
}

// Run reaps until the context is done.
func (r *Reaper) Run(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGCHLD)
	defer signal.Stop(signals)
	for {
		r.reap()
		select {
		case <-signals:
		case <-ctx.Done():
			return
		}
	}
}

// reap waits for all children that have ended.
func (r *Reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	some := false
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			break
		}
		some = true
		if c := r.children[pid]; c != nil {
			delete(r.children, pid)
			c.status, c.finished = status, time.Now()
			close(c.done)
		}
	}
	if some {
		close(r.reaped)
		r.reaped = make(chan struct{})
	}
}

// start runs fork, which returns the PID of a new child.
func (r *Reaper) start(owner string, fork func() (int, error)) (*Child, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := fork()
	if err != nil {
		return nil, err
	}
	c := &Child{PID: pid, Started: time.Now(), reaper: r, owner: owner, done: make(chan struct{})}
	r.children[pid] = c
	return c, nil
}

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Finished is when the child ended, valid after Done.
func (c *Child) Finished() time.Time { return c.finished }

// ExitCode is the child's, or 128 plus the number of the signal that ended it;
// valid after Done.
func (c *Child) ExitCode() int32 {
	if c.status.Signaled() {
		return 128 + int32(c.status.Signal())
	}
	return int32(c.status.ExitStatus())
}

// Signal sends the child a signal. One that has ended takes any.
func (c *Child) Signal(s unix.Signal) error {
	c.reaper.mu.Lock()
	defer c.reaper.mu.Unlock()
	select {
	case <-c.done:
		return nil
	default:
	}
	if err := unix.Kill(c.PID, s); err != nil {
		return fmt.Errorf("send %s to process %d: %w", unix.SignalName(s), c.PID, err)
	}
	return nil
}
