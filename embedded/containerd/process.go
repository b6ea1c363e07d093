package containerd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// process is a running containerd, started by us or by the daemon before us.
type process struct {
	pid int
	// fd is a pidfd: it names this very process even if the number is used again.
	fd   int
	done chan struct{}
}

// find returns the containerd that listens on the socket, or nil. The kernel
// says who that is, so no file with a number can mislead us.
func find(socket string) (*process, error) {
	conn, err := net.Dial("unix", socket)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a running containerd: %w", err)
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("look for a running containerd: %w", err)
	}
	var peer *unix.Ucred
	var optErr error
	if err := raw.Control(func(fd uintptr) {
		peer, optErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || optErr != nil {
		return nil, fmt.Errorf("look for a running containerd: %w", errors.Join(err, optErr))
	}
	return watch(int(peer.Pid), notOurs)
}

// launch starts containerd in a session of its own, so that it and its
// containers survive us, and waits until it says that it is ready.
func launch(ctx context.Context, o Options) (*process, error) {
	if err := o.clearTemporary(); err != nil {
		return nil, err
	}
	ready, err := listenReady(filepath.Join(o.State, "ready.sock"))
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	log, err := os.OpenFile(o.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open containerd log: %w", err)
	}
	defer log.Close()

	cmd := exec.Command(filepath.Join(o.Tools, "containerd"), "--config", o.configFile())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = o.Root
	// The tools come first: a shim that is asked what it can do looks for runc
	// on its path, and one that does not find it is asked again at every start.
	cmd.Env = []string{"PATH=" + o.Tools + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"NOTIFY_SOCKET=" + ready.LocalAddr().String(), "TMPDIR=" + o.temporary()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start containerd: %w", err)
	}
	p, err := watch(cmd.Process.Pid, func() { _ = cmd.Wait() }) // its log says why it ended
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	if err := denyCores(cmd.Process.Pid); err != nil {
		p.kill()
		return nil, err
	}
	if err := p.awaitReady(ctx, ready); err != nil {
		p.kill()
		return nil, fmt.Errorf("start containerd: %w; it said: %s", err, lastLine(o.LogFile()))
	}
	return p, nil
}

// denyCores sees to it that no container leaves a core dump: where the host
// pipes those into a program, that program runs as root and outside of any
// container. Containers inherit the limit.
func denyCores(pid int) error {
	if err := unix.Prlimit(pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil); err != nil {
		return fmt.Errorf("limit core dumps of containerd: %w", err)
	}
	return nil
}

// listenReady makes the socket on which containerd reports that it serves
// (the sd_notify protocol).
func listenReady(path string) (*net.UnixConn, error) {
	_ = os.Remove(path)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for containerd's readiness: %w", err)
	}
	return conn, nil
}

// awaitReady returns when READY=1 has come, the process has ended, or ctx is done.
func (p *process) awaitReady(ctx context.Context, conn *net.UnixConn) error {
	said := make(chan error, 1)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil || bytes.Contains(buf[:n], []byte("READY=1")) {
				said <- err
				return
			}
		}
	}()
	select {
	case err := <-said:
		return err
	case <-p.done:
		return errors.New("it ended before it was ready")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// notOurs reaps a process that is no child: somebody else will.
func notOurs() {}

// watch follows a process. One that is a child is reaped when it has ended.
func watch(pid int, reap func()) (*process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	p := &process{pid: pid, fd: fd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		reap()
	}()
	return p, nil
}

// over reports whether the process has ended.
func (p *process) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// onEnd calls fn when the process has ended. Call the function that it returns
// when that is of no interest any more.
func (p *process) onEnd(fn func()) (forget func()) {
	forgotten := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-p.done:
			fn()
		case <-forgotten:
		}
	})
	return func() {
		close(forgotten)
		waiting.Wait()
	}
}

// signal sends a signal; a process that has ended is no error.
func (p *process) signal(s unix.Signal) { _ = unix.PidfdSendSignal(p.fd, s, nil, 0) }

// kill ends the process, waits for that, and lets go of it.
func (p *process) kill() {
	p.signal(unix.SIGKILL)
	<-p.done
	unix.Close(p.fd)
}

// maxLine is how much of a log's last line is told, in bytes.
const maxLine = 600

// lastLine returns the end of a log, for error messages.
func lastLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-maxLine), io.SeekStart)
	}
	data, _ := io.ReadAll(f)
	data = bytes.TrimSpace(data)
	return string(data[bytes.LastIndexByte(data, '\n')+1:])
}
