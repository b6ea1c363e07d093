package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"frankenetes.dev/fault"
)

// lock keeps two verbs on one cluster apart. The lock is the kernel's, so it
// dies with its holder.
func (o *options) lock(name string) (unlock func(), err error) {
	unlock, err = o.tryLock(name)
	if errors.Is(err, errLocked) {
		return nil, fault.New(fault.Conflict, "wait until it has ended", "another frankenetes is working on cluster %s", name)
	}
	return unlock, err
}

// awaitLock waits for the lock until ctx ends.
func (o *options) awaitLock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		unlock, err = o.tryLock(name)
		if !errors.Is(err, errLocked) {
			return unlock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock cluster %s: %w", name, ctx.Err())
		case <-time.After(lockPause):
		}
	}
}

// lockPause is the time between two tries for a lock: to wait for the kernel's
// own answer could not be interrupted.
const lockPause = 20 * time.Millisecond

// errLocked says that another program has the lock.
var errLocked = errors.New("another program has the lock")

func (o *options) tryLock(name string) (unlock func(), err error) {
	dir := filepath.Join(o.home, "locks")
	if o.cloud != cloudLocal {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("lock cluster %s: %w", name, err)
		}
		dir = filepath.Join(cache, "frankenetes")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("lock cluster %s: %w", name, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock cluster %s: %w", name, err)
	}
	if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock cluster %s: %w", name, err), f.Close())
	}
	return func() { f.Close() }, nil
}
