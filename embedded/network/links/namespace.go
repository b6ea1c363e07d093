package links

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// NewNamespace makes a network namespace that a file stands for: it stays
// until RemoveNamespace, whoever ends meanwhile.
func NewNamespace(path string) error {
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, nil, 0o600)
	}
	if err == nil {
		err = onThread(func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		})
	}
	if err != nil {
		return fmt.Errorf("make network namespace %s: %w", path, err)
	}
	return nil
}

// OpenNamespace opens a network namespace by its file; an empty path means the
// one that the caller is in. A file with no namespace behind it is an error.
func OpenNamespace(path string) (netns.NsHandle, error) {
	if path == "" {
		return netns.Get()
	}
	namespace, err := netns.GetFromPath(path)
	if err != nil {
		return namespace, fmt.Errorf("open network namespace %s: %w", path, err)
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(namespace), &fs); err != nil || fs.Type != unix.NSFS_MAGIC {
		namespace.Close()
		return netns.None(), fmt.Errorf("open network namespace %s: %w", path, os.ErrNotExist)
	}
	return namespace, nil
}

// RemoveNamespace takes back the file that keeps a network namespace; that it
// is not there is no error. The namespace ends with the last that is in it.
func RemoveNamespace(path string) error {
	err := unix.Unmount(path, unix.MNT_DETACH)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		err = nil // not mounted
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove network namespace %s: %w", path, err)
	}
	return nil
}
