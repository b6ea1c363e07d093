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
	"runtime"
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
	// Snapshots, where not nil, runs beside etcd.
	Snapshots *Schedule
	Log       *slog.Logger
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
	// The kernel ends etcd with the thread that has started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, l.Command[0], append(l.Command[1:len(l.Command):len(l.Command)], "--data-dir="+dir)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = endTime
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("start etcd: %w", err)
	}
	taken, ended := make(chan error, 1), make(chan struct{})
	go func() { taken <- watch(cmd.Process, dir, own, ended) }()
	stopSnapshots := l.startSnapshots(ctx)
	err = cmd.Wait()
	close(ended)
	stopSnapshots()
	if err := <-taken; err != nil {
		return 1, err
	}
	if ctx.Err() != nil {
		return 0, nil // told to end, and it has
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 1, fmt.Errorf("wait for etcd: %w", err)
	}
	l.Log.Error("etcd has ended by itself", "how", cmd.ProcessState.String())
	return max(cmd.ProcessState.ExitCode(), 1), nil
}

// startSnapshots has the schedule run until stop.
func (l *Launcher) startSnapshots(ctx context.Context) (stop func()) {
	if l.Snapshots == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Snapshots.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
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
