package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"frankenetes.dev/agent/protocol"
	"golang.org/x/sys/unix"
)

const (
	// chunk is how much output is read at once, in bytes.
	chunk = 16 << 10
	// leftover bounds what is read of a stream that someone keeps open after
	// its program has ended: as much as a pipe can hold.
	leftover = 1 << 20
)

// Stdio is our side of a program's standard streams.
type Stdio struct {
	// Stdin is nil if the program has none.
	Stdin *os.File
	// Outputs are what the program writes: Output and, unless it has a
	// terminal, ErrorOutput.
	Outputs map[protocol.Kind]*os.File

	terminal *os.File
	child    []*os.File
	closing  sync.Once
	// writing holds one value while someone writes to Stdin.
	writing chan struct{}
}

// NewPipes returns streams that are pipes. They belong to the user, who can so
// open them by name (/dev/stdout).
func NewPipes(stdin bool, uid int) (*Stdio, error) {
	s := &Stdio{Outputs: map[protocol.Kind]*os.File{}, writing: make(chan struct{}, 1)}
	if err := s.openInput(stdin, uid); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	for _, kind := range []protocol.Kind{protocol.Output, protocol.ErrorOutput} {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open output: %w", err), s.Close())
		}
		s.Outputs[kind] = r
		s.child = append(s.child, w)
		if err := own(w, uid); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

func (s *Stdio) openInput(wanted bool, uid int) error {
	if !wanted {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return fmt.Errorf("open input: %w", err)
		}
		s.child = append(s.child, null)
		return nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("open input: %w", err)
	}
	s.Stdin = w
	s.child = append(s.child, r)
	return own(r, uid)
}

// NewTerminal returns streams that are one new terminal, owned by the user.
func NewTerminal(uid int) (*Stdio, error) {
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open terminal: %w", err)
	}
	s := &Stdio{
		Stdin:    ours,
		Outputs:  map[protocol.Kind]*os.File{protocol.Output: ours},
		terminal: ours,
		writing:  make(chan struct{}, 1),
	}
	n := 0
	err = control(ours, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open terminal: %w", err), s.Close())
	}
	theirs, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open terminal: %w", err), s.Close())
	}
	s.child = []*os.File{theirs, theirs, theirs}
	if err := own(theirs, uid); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func own(f *os.File, uid int) error {
	if os.Geteuid() != 0 || uid == 0 {
		return nil
	}
	if err := f.Chown(uid, -1); err != nil {
		return fmt.Errorf("give stream to user %d: %w", uid, err)
	}
	return nil
}

// control calls fn with a file's descriptor, without taking it from Go's poller.
func control(f *os.File, fn func(fd int) error) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(raw.Control(func(fd uintptr) { err = fn(int(fd)) }), err)
}

// Resize tells the program's terminal its size.
func (s *Stdio) Resize(size protocol.Size) error {
	if s.terminal == nil {
		return errors.New("resize terminal: there is none")
	}
	err := control(s.terminal, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: size.Height, Col: size.Width})
	})
	if err != nil {
		return fmt.Errorf("resize terminal: %w", err)
	}
	return nil
}

// WriteInput writes to the program's standard input. It waits for a program
// that does not read, until the context is done.
func (s *Stdio) WriteInput(ctx context.Context, data []byte) error {
	if s.Stdin == nil {
		return nil
	}
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = s.Stdin.SetWriteDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	_, err := s.Stdin.Write(data)
	if !stop() { // the next writer shall not suffer from our interruption
		<-interrupted
		_ = s.Stdin.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		return fmt.Errorf("write input: %w", err)
	}
	return nil
}

// CloseInput tells the program that there is no more input. A terminal has no
// way to say so.
func (s *Stdio) CloseInput() {
	if s.Stdin != nil && s.terminal == nil {
		_ = s.Stdin.Close()
	}
}

// Close closes our side, and the program's if that was not started.
func (s *Stdio) Close() error {
	s.closing.Do(func() {
		s.CloseInput()
		for _, f := range s.Outputs {
			_ = f.Close()
		}
		s.closeChild()
	})
	return nil
}

func (s *Stdio) closeChild() {
	for _, f := range s.child {
		_ = f.Close() // a terminal's is there three times
	}
	s.child = nil
}

// Pump calls sink with what the program writes on a stream, until it and
// everyone who has the stream from it have closed it, or Expire was called and
// all that was written by then is read. A sink that fails ends it.
func (s *Stdio) Pump(kind protocol.Kind, sink func([]byte) error) error {
	f := s.Outputs[kind]
	buf := make([]byte, chunk)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			if err := sink(buf[:n]); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return readLeftover(f, buf, sink)
		case errors.Is(err, io.EOF), errors.Is(err, syscall.EIO), errors.Is(err, fs.ErrClosed):
			return nil // EIO is how a terminal says it
		default:
			return fmt.Errorf("read output: %w", err)
		}
	}
}

// Expire ends Pump for programs that have ended while others keep their
// streams open.
func (s *Stdio) Expire() {
	for _, f := range s.Outputs {
		_ = f.SetReadDeadline(time.Unix(1, 0))
	}
}

// readLeftover reads what a stream has ready without waiting for more.
func readLeftover(f *os.File, buf []byte, sink func([]byte) error) error {
	for total := 0; total < leftover; {
		n := 0
		err := control(f, func(fd int) (err error) {
			n, err = unix.Read(fd, buf)
			return err
		})
		if err != nil || n <= 0 {
			return nil // EAGAIN: nothing is ready; or the end
		}
		if err := sink(buf[:n]); err != nil {
			return err
		}
		total += n
	}
	return nil
}
