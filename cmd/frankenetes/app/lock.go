package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"frankenetes.dev/fault"
)

// lock keeps two verbs on one cluster apart. The lock is the kernel's, so it
// dies with its holder.
func (o *options) lock(name string) (unlock func(), err error) {
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
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, fault.New(fault.Conflict, "wait until it has ended", "another frankenetes is working on cluster %s", name)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock cluster %s: %w", name, err)
	}
	return func() { f.Close() }, nil
}
