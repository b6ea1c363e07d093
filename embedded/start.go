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
	for range tries {
		if err = startOnce(ctx, o, command); !errors.Is(err, errStopping) && !errors.Is(err, ErrLocked) || ctx.Err() != nil {
			break // else others start or stop it at the same time
		}
	}
	if err == nil && o.Limits != nil {
		err = changeLimits(ctx, o)
	}
	if err != nil {
		return cloud.Config{}, err
	}
	return cloud.Load(ConfigPath(o.Home))
}

// tries is how often a start or a stop is tried that others are in the way of.
const tries = 10

// startOnce starts a daemon, unless one runs already: that goes on, with the
// images of o. It returns errStopping or ErrLocked when it came in the way of
// another start or stop.
func startOnce(ctx context.Context, o Options, command []string) error {
	_, err := Stat(ctx, o)
	switch {
	case err == nil:
		return refresh(ctx, o)
	case errors.Is(err, errStopping):
		return errors.Join(err, awaitHolder(ctx, o.Home, 0))
	case !errors.Is(err, ErrNotRunning):
		return err
	}
	if err := os.MkdirAll(o.Home, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	if err := spawn(ctx, o, command); err != nil {
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
