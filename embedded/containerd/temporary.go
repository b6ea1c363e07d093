package containerd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// temporary is where containerd and its shims mount layers for a moment.
func (o Options) temporary() string { return filepath.Join(o.State, "t") }

// clearTemporary makes the directory for such mounts, without those that a
// containerd has left that was killed.
func (o Options) clearTemporary() error {
	left, err := o.temporaryMounts()
	if err != nil {
		return err
	}
	for _, dir := range left {
		if err := removeMount(dir); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.temporary(), 0o700); err != nil {
		return fmt.Errorf("make temporary directory of containerd: %w", err)
	}
	return nil
}

// temporaryMounts returns the directories of such mounts.
func (o Options) temporaryMounts() ([]string, error) {
	dirs, err := filepath.Glob(filepath.Join(o.temporary(), "*"))
	if err != nil {
		return nil, fmt.Errorf("look for temporary mounts of containerd: %w", err)
	}
	return dirs, nil
}

// removeMount unmounts what is mounted at a place and removes the place.
func removeMount(at string) error {
	if err := unix.Unmount(at, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", at, err)
	}
	// Only what is empty: below a mount of a mount there would be layers.
	if err := os.Remove(at); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove what containerd has left: %w", err)
	}
	return nil
}
