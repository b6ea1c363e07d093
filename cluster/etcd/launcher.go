// Package etcd starts etcd on a file share, so that no write that it has
// acknowledged is lost and never two of them have one store. It exists because
// locks on a share keep out only who is alive and reachable: a container group
// that is frozen, or that the cloud has given up, may come back and write. So
// the store is taken from whoever had it before it is opened: see DESIGN.md.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// claimTime is how long others may have the store open before the launcher
	// gives up; it is started again by its group.
	claimTime = 30 * time.Second
	// watchPause is the time between two looks at whether the store is still
	// ours.
	watchPause = time.Second
	// endTime is what etcd may take to end by itself.
	endTime = 10 * time.Second
)

// Launcher is the first process of etcd's container group.
type Launcher struct {
	// Share is the directory where the share is mounted.
	Share      string
	Handles    Handles
	Generation Generation
	// Initialized says that the cluster has had a store: none is made anew.
	Initialized bool
	// Command is etcd with its arguments, but for the data directory.
	Command []string
	// Restore is the command that makes a store of a snapshot, with its arguments
	// but for the two's places.
	Restore []string
	// Beside are what runs beside etcd, until its context ends.
	Beside []func(context.Context, Running)
	Log    *slog.Logger
}

// Running is etcd to what runs beside it.
type Running struct {
	end   context.CancelCauseFunc
	ended <-chan struct{}
}

// errAsked is why etcd is ended by what runs beside it.
var errAsked = errors.New("it was asked to end")

// End ends etcd and returns when it has ended. The launcher stays until all that
// runs beside etcd has returned.
func (r Running) End(ctx context.Context) error {
	r.end(errAsked)
	select {
	case <-r.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run has etcd run until ctx ends or it ends by itself, and returns its exit
// code. The error is ErrSuperseded where the store belongs to a later start.
func (l *Launcher) Run(ctx context.Context) (int, error) {
	claim, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	dir, err := l.claim(claim)
	if ctx.Err() != nil {
		return 0, nil // told to end before anything was started
	}
	if err != nil {
		return 1, err
	}
	l.Log.Info("the store is ours", "directory", dir)
	return l.run(ctx, dir)
}

// run starts etcd and ends it when ctx ends or the store is taken from us.
func (l *Launcher) run(ctx context.Context, dir string) (int, error) {
	own, err := os.Stat(dir)
	if err != nil {
		return 1, fmt.Errorf("look at etcd's store: %w", err)
	}
	link, err := linkTo(dir)
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(filepath.Dir(link))
	run, end := context.WithCancelCause(ctx)
	defer end(nil)
	// The kernel ends etcd with the thread that has started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(run, l.Command[0], append(l.Command[1:len(l.Command):len(l.Command)], "--data-dir="+link)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endTime
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("start etcd: %w", err)
	}
	taken, ended := make(chan error, 1), make(chan struct{})
	go func() { taken <- watch(cmd.Process, dir, own, ended) }()
	beside := l.startBeside(ctx, Running{end, ended})
	err = cmd.Wait()
	close(ended)
	asked := context.Cause(run) == errAsked
	beside(!asked)
	if err := <-taken; err != nil {
		return 1, err
	}
	if ctx.Err() != nil {
		return 0, nil // told to end, and it has
	}
	if asked {
		// Who asked did so to delete this group, and has failed.
		return 1, errors.New("etcd was ended for what did not come to its end")
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 1, fmt.Errorf("wait for etcd: %w", err)
	}
	l.Log.Error("etcd has ended by itself", "how", cmd.ProcessState.String())
	return max(cmd.ProcessState.ExitCode(), 1), nil
}

// linkTo returns the path of a link, on the group's own disk, to the store. By it
// etcd can open the store, but not make one: by the time that it is started,
// a successor may have taken the store from us, and where a path leads to nothing
// etcd makes a new store, which it would then serve.
func linkTo(dir string) (string, error) {
	own, err := os.MkdirTemp("", "etcd-")
	if err != nil {
		return "", fmt.Errorf("make room for a link to etcd's store: %w", err)
	}
	link := filepath.Join(own, "store")
	if err := os.Symlink(dir, link); err != nil {
		return "", errors.Join(fmt.Errorf("make a link to etcd's store: %w", err), os.RemoveAll(own))
	}
	return link, nil
}

// startBeside starts what runs beside etcd; wait waits for it, and ends it if
// it is told so.
func (l *Launcher) startBeside(ctx context.Context, etcd Running) (wait func(end bool)) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	for _, run := range l.Beside {
		work.Go(func() { run(ctx, etcd) })
	}
	return func(end bool) {
		if end {
			cancel()
		}
		work.Wait()
		cancel()
	}
}

// watch kills etcd when the store is no longer where it was, until etcd has
// ended. That only shortens the time in which two run; what keeps the first
// from writing is that its handles are closed.
func watch(process *os.Process, dir string, own os.FileInfo, ended <-chan struct{}) error {
	tick := time.NewTicker(watchPause)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return nil
		case <-tick.C:
		}
		info, err := os.Stat(dir)
		if err == nil && os.SameFile(own, info) || err != nil && !errors.Is(err, os.ErrNotExist) {
			continue // etcd meets an error of the share's itself
		}
		_ = process.Kill()
		return fmt.Errorf("%w: %s is gone; etcd was killed", ErrSuperseded, dir)
	}
}
