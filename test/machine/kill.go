package machine

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Kill9 kills the daemon, without a word of warning, and returns once it has
// ended. What it has started goes on.
func (m *Machine) Kill9() {
	m.T.Helper()
	if err := Kill(m.Status().PID); err != nil {
		m.T.Fatalf("kill the daemon: %v", err)
	}
}

// Kill kills a process, which need not be a child, and returns once it has
// ended. One that does not exist is no error.
func Kill(pid int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(process)
	if err := unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, int(Patience.Milliseconds()))
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for the end of process %d: %w", pid, err)
		case n == 0:
			return fmt.Errorf("process %d has been killed and is still there", pid)
		default:
			return nil
		}
	}
}

// Interrupted calls frankenetes and kills the cloud's daemon when there has been
// one for a while; whatever comes of the call is fine.
func (m *Machine) Interrupted(after time.Duration, args ...string) {
	m.T.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = m.Try(args...)
	}()
	tr := TracesOf(m.Home)
	for daemons := tr.Daemons(m.T); len(daemons) == 0; daemons = tr.Daemons(m.T) {
		select {
		case <-done: // it was quicker
			return
		case <-time.After(time.Millisecond):
		}
	}
	select {
	case <-done:
	case <-time.After(after):
	}
	for _, pid := range tr.Daemons(m.T) {
		if err := Kill(pid); err != nil {
			m.T.Fatal(err)
		}
	}
	<-done
}
