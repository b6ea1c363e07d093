package rootless

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// tree is a directory whose paths are looked up by the kernel so that they do
// not lead out of it, whatever links there are and whoever changes them meanwhile.
type tree struct {
	dir *os.File
	// how is RESOLVE_BENEATH, where a link that leads out is an error, or
	// RESOLVE_IN_ROOT, where it starts from the directory.
	how uint64
}

func openTree(dir string, how uint64) (tree, error) {
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	return tree{f, how}, err
}

// Find is an error unless there is something at a path in a directory, to which
// no link leads that leads out of it.
func Find(dir, name string) error {
	t, err := openTree(dir, unix.RESOLVE_BENEATH)
	if err != nil {
		return err
	}
	defer t.dir.Close()
	f, err := t.open(name)
	if err != nil {
		return err
	}
	return f.Close()
}

// open opens a path, which need not be readable, for reference only.
func (t tree) open(name string) (*os.File, error) {
	if name = strings.Trim(path.Clean("/"+name), "/"); name == "" {
		name = "."
	}
	fd, err := unix.Openat2(int(t.dir.Fd()), name, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: t.how | unix.RESOLVE_NO_MAGICLINKS,
	})
	if errors.Is(err, unix.EXDEV) {
		err = errors.New("it leads out of the volume")
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openOrMake opens a path, and makes directories where there is nothing; the
// last element is a file unless directory is set.
func (t tree) openOrMake(name string, directory bool, mode fs.FileMode) (*os.File, error) {
	f, err := t.open(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	name = strings.Trim(path.Clean("/"+name), "/")
	parent, err := t.openOrMake(path.Dir(name), true, mode)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	if err := makeIn(parent, path.Base(name), directory, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return t.open(name)
}

// makeIn makes a directory, or an empty file, that has exactly that mode.
func makeIn(parent *os.File, name string, directory bool, mode fs.FileMode) error {
	root, err := os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", parent.Fd()))
	if err != nil {
		return err
	}
	defer root.Close()
	if directory {
		if err := root.Mkdir(name, mode.Perm()); err != nil {
			return err
		}
		return root.Chmod(name, mode)
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
