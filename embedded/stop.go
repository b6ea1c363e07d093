package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Stop asks the daemon to stop, with all that runs in it, and waits until it
// has. Where none runs, that is no error. Groups that a daemon left behind, as
// one does that is killed, are taken down without it.
func Stop(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	for range tries {
		if err = stopOnce(ctx, o); !errors.Is(err, ErrLocked) || ctx.Err() != nil {
			break // else others start or stop it at the same time
		}
	}
	return err
}

func stopOnce(ctx context.Context, o Options) error {
	signal := unix.SIGTERM
	if o.stopping(ctx) { // it has been told
		signal = 0
	}
	if err := awaitHolder(ctx, o.Home, signal); err != nil {
		return fmt.Errorf("stop the embedded cloud: %w", err)
	}
	if !o.remains() {
		return nil
	}
	return takeDown(ctx, o)
}

// askTimeout bounds the question whether a daemon is stopping: one that is has
// nothing to wait for.
const askTimeout = 500 * time.Millisecond

// stopping reports whether whoever holds the lock says that it is stopping.
func (o Options) stopping(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer, err := askDaemon(ctx, o, http.MethodGet, "/", nil)
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusServiceUnavailable
}

// awaitHolder sends a signal, unless it is 0, to the daemon of a data
// directory, if there is one, and waits until it has ended. Another stop, which
// does what a daemon did not come to do, is only waited for.
func awaitHolder(ctx context.Context, home string, signal unix.Signal) error {
	pid, ending, err := holder(home)
	if err != nil || pid == 0 {
		return err
	}
	process, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(process)
	// The descriptor cannot come to mean another process; had the number done
	// so before it was opened, the lock would have another holder now.
	if now, _, err := holder(home); err != nil || now != pid {
		return err
	}
	if signal != 0 && !ending {
		if err := unix.PidfdSendSignal(process, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
	}
	return awaitEnd(ctx, process)
}

// awaitEnd waits until the process of a pidfd has ended.
func awaitEnd(ctx context.Context, process int) error {
	// The pipe ends the wait in the kernel when ctx is done.
	done, wake, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("wait for the daemon: %w", err)
	}
	defer done.Close()
	stop := context.AfterFunc(ctx, func() { wake.Close() })
	defer func() {
		if stop() {
			wake.Close()
		}
	}()
	for {
		fds := []unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}, {Fd: int32(done.Fd()), Events: unix.POLLIN}}
		_, err := unix.Poll(fds, -1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for the daemon: %w", err)
		case fds[0].Revents != 0:
			return nil
		case fds[1].Revents != 0:
			return fmt.Errorf("wait for the daemon: %w", ctx.Err())
		}
	}
}
