package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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

// Start starts the daemon that command runs, in a session of its own, unless
// it runs already, and returns when it is ready. A daemon that ends before
// that is an error with the daemon's own words.
func Start(ctx context.Context, o Options, command []string) (cloud.Config, error) {
	if err := requireRoot(); err != nil {
		return cloud.Config{}, err
	}
	o, err := o.withDefaults()
	if err != nil {
		return cloud.Config{}, err
	}
	if _, err := Stat(ctx, o); err == nil {
		return cloud.Load(ConfigPath(o.Home))
	} else if !errors.Is(err, ErrNotRunning) {
		return cloud.Config{}, err
	}
	if err := os.MkdirAll(o.Home, 0o700); err != nil {
		return cloud.Config{}, fmt.Errorf("make data directory: %w", err)
	}
	if err := spawn(ctx, o, command); err != nil {
		return cloud.Config{}, fmt.Errorf("start the embedded cloud: %w", err)
	}
	return cloud.Load(ConfigPath(o.Home))
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

// daemonError turns what a daemon said into an error that callers can tell.
func daemonError(said string) error {
	for _, known := range []error{ErrLocked, ErrNotRoot} {
		if strings.Contains(said, known.Error()) {
			return fmt.Errorf("%w%s", known, strings.TrimPrefix(said, known.Error()))
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
// has. Where none runs, that is no error.
func Stop(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	pid, err := holder(o.Home)
	if err != nil || pid == 0 {
		return err
	}
	process, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop the embedded cloud: %w", err)
	}
	defer unix.Close(process)
	// The descriptor cannot come to mean another process; had the number done
	// so before it was opened, the lock would have another holder now.
	if now, err := holder(o.Home); err != nil || now != pid {
		return err
	}
	if err := unix.PidfdSendSignal(process, unix.SIGTERM, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("stop the embedded cloud: %w", err)
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

// Stat asks the daemon how it is, or returns ErrNotRunning.
func Stat(ctx context.Context, o Options) (Status, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Status{}, err
	}
	pid, err := holder(o.Home)
	if err != nil {
		return Status{}, err
	}
	if pid == 0 {
		return Status{}, ErrNotRunning
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", statusSocket(o))
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://daemon/", nil)
	if err != nil {
		return Status{}, fmt.Errorf("ask the daemon: %w", err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return Status{}, fmt.Errorf("the daemon (process %d) does not answer; it may be starting or stopping: %w", pid, err)
	}
	defer answer.Body.Close()
	var status Status
	if err := json.NewDecoder(answer.Body).Decode(&status); err != nil {
		return Status{}, fmt.Errorf("ask the daemon: %w", err)
	}
	return status, nil
}
