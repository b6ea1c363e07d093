package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"frankenetes.dev/cloud"
)

const (
	// readyVariable tells a daemon on which descriptor its starter waits.
	readyVariable = "FRANKENETES_READY_FD"
	// logKept is the size, in bytes, from which a log is put aside at a start.
	logKept = 8 << 20
)

// Start starts the daemon that command runs, in a session of its own, and
// returns when it is ready. A daemon that ends before that is an error with
// the daemon's own words. One that runs already goes on, with the images of o.
func Start(ctx context.Context, o Options, command []string) (cloud.Config, error) {
	if err := requireRoot(); err != nil {
		return cloud.Config{}, err
	}
	o, err := o.withDefaults()
	if err != nil {
		return cloud.Config{}, err
	}
	_, err = Stat(ctx, o)
	if err == nil {
		err = refresh(ctx, o)
	}
	if errors.Is(err, errStopping) {
		if err = awaitHolder(ctx, o.Home, 0); err == nil {
			err = ErrNotRunning
		}
	}
	if errors.Is(err, ErrNotRunning) {
		err = startNew(ctx, o, command)
	}
	if err == nil && o.Limits != nil {
		err = changeLimits(ctx, o)
	}
	if err != nil {
		return cloud.Config{}, err
	}
	return cloud.Load(ConfigPath(o.Home))
}

// startNew starts the daemon where none runs.
func startNew(ctx context.Context, o Options, command []string) error {
	if err := os.MkdirAll(o.Home, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	err := spawn(ctx, o, command)
	if errors.Is(err, ErrLocked) { // someone else was quicker: theirs is as good
		if _, err = Stat(ctx, o); err == nil {
			err = refresh(ctx, o)
		}
	}
	if err != nil {
		return fmt.Errorf("start the embedded cloud: %w", err)
	}
	return nil
}

// spawn starts the process and waits for its word.
func spawn(ctx context.Context, o Options, command []string) error {
	log, err := openLog(logPath(o.Home))
	if err != nil {
		return err
	}
	defer log.Close()
	word, say, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make pipe: %w", err)
	}
	defer word.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{say} // becomes descriptor 3
	cmd.Env = append(os.Environ(), readyVariable+"=3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	say.Close()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = word.SetReadDeadline(time.Now()) })
	defer stop()
	said, err := io.ReadAll(word)
	if ctx.Err() != nil {
		_ = cmd.Process.Signal(unix.SIGTERM)
		_ = cmd.Wait()
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("wait for the daemon: %w", err)
	}
	if string(said) == readyWord {
		return cmd.Process.Release()
	}
	err = cmd.Wait()
	if len(said) == 0 {
		return fmt.Errorf("the daemon ended (%w) before it was ready: %s", err, lastLine(log.Name()))
	}
	return daemonError(string(said))
}

// readyWord is what a daemon says when all is well.
const readyWord = "ready"

// reported is what a daemon said of its failure, of a kind that callers can tell.
type reported struct {
	words string
	kind  error
}

func (r reported) Error() string { return r.words }
func (r reported) Unwrap() error { return r.kind }

func daemonError(said string) error {
	for _, known := range []error{ErrLocked, ErrNotRoot, ErrDamaged} {
		if strings.Contains(said, known.Error()) {
			return reported{said, known}
		}
	}
	return errors.New(said)
}

// starter is the end of the pipe at which a starter waits, if there is one.
type starter struct{ pipe *os.File }

// readyPipe takes the pipe out of the environment, so that no child gets it.
func readyPipe() *starter {
	fd, err := strconv.Atoi(os.Getenv(readyVariable))
	if err != nil {
		return &starter{}
	}
	os.Unsetenv(readyVariable)
	syscall.CloseOnExec(fd)
	return &starter{os.NewFile(uintptr(fd), "starter")}
}

// tell says, once, that the daemon is ready or why it is not.
func (s *starter) tell(err error) {
	if s.pipe == nil {
		return
	}
	word := readyWord
	if err != nil {
		word = err.Error()
	}
	_, _ = s.pipe.WriteString(word)
	s.pipe.Close()
	s.pipe = nil
}

// openLog opens the daemon's log to append to, the old one put aside when it
// has become long.
func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > logKept {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("put log aside: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

func lastLine(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	text := strings.TrimSpace(string(data))
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// Stop asks the daemon to stop, with all that runs in it, and waits until it
// has. Where none runs, that is no error. Groups that a daemon left behind, as
// one does that is killed, are taken down without it.
func Stop(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	if err := awaitHolder(ctx, o.Home, unix.SIGTERM); err != nil {
		return fmt.Errorf("stop the embedded cloud: %w", err)
	}
	if !o.remains() {
		return nil
	}
	return takeDown(ctx, o)
}

// awaitHolder sends a signal, unless it is 0, to the daemon of a data
// directory, if there is one, and waits until it has ended.
func awaitHolder(ctx context.Context, home string, signal unix.Signal) error {
	pid, err := holder(home)
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
	if now, err := holder(home); err != nil || now != pid {
		return err
	}
	if signal != 0 {
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
