// Package volume writes the contents of a pod's volumes as the kubelet does.
// It exists because the kubelet writes ConfigMaps, Secrets and tokens to a
// place that no container of the pod can see: the pod agent repeats the work
// where they can.
//
// The pod's containers can write to some of these directories too, so nothing
// here follows a link out of one.
package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"frankenetes.dev/agent/protocol"
)

const (
	// data is the link that names the directory with the current content, and
	// next is what becomes that link.
	data = "..data"
	next = "..data_tmp"
	// contentMode is that of directories inside of a volume.
	contentMode = 0o755
)

// Put gives the volume in a directory, which must exist, its content.
func Put(dir string, v protocol.Volume) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("put volume: %w", err)
	}
	defer root.Close()
	if err := setOwner(root, v); err != nil {
		return fmt.Errorf("put volume %s: %w", dir, err)
	}
	if !v.Atomic {
		return nil
	}
	if err := replace(root, v); err != nil {
		return fmt.Errorf("put volume %s: %w", dir, err)
	}
	return nil
}

// maxRead is the largest file that Read returns, in bytes.
const maxRead = 1 << 20

// Read returns what a file holds that a container has left in a volume's
// directory.
func Read(dir, name string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read file of volume: %w", err)
	}
	defer root.Close()
	// A pipe must not make us wait for who writes to it.
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("read file of volume: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read file of volume: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxRead {
		return nil, fmt.Errorf("read file of volume: %s is no file of at most %d bytes", name, maxRead)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxRead))
	if err != nil {
		return nil, fmt.Errorf("read file of volume: %w", err)
	}
	return data, nil
}

// setOwner sets mode and group of the volume's directory. A group that a volume
// is given to owns what is made in it, and may write to it unless its content
// comes from here.
func setOwner(root *os.Root, v protocol.Volume) error {
	mode := unixMode(v.Mode)
	if v.GID != nil {
		if err := root.Lchown(".", -1, int(*v.GID)); err != nil {
			return fmt.Errorf("give it to group %d: %w", *v.GID, err)
		}
		mode |= fs.ModeSetgid | 0o550
		if !v.Atomic {
			mode |= 0o220
		}
		if v.Mode == 0 {
			mode |= contentMode
		}
	}
	if mode == 0 {
		return nil
	}
	return root.Chmod(".", mode)
}

// unixMode turns the mode of chmod(2) into Go's.
func unixMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&bit != 0 {
			m |= flag
		}
	}
	return m
}

// replace writes the content to a new directory and swaps the link to it, so
// that a reader sees all of the old or all of the new.
func replace(root *os.Root, v protocol.Volume) error {
	for _, f := range v.Files {
		if err := checkPath(f.Path); err != nil {
			return err
		}
	}
	old, err := root.Readlink(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if old != "" && same(root, old, v) {
		return nil
	}
	fresh := ".." + time.Now().UTC().Format("2006_01_02_15_04_05.000000000")
	if err := write(root, fresh, v); err != nil {
		return errors.Join(err, root.RemoveAll(fresh))
	}
	_ = root.Remove(next) // left by one who was killed here
	if err := root.Symlink(fresh, next); err != nil {
		return err
	}
	if err := root.Rename(next, data); err != nil {
		return err
	}
	if err := link(root, v.Files); err != nil {
		return err
	}
	return removeStale(root, fresh, v.Files)
}

// checkPath accepts paths that stay inside, and whose first element is not one
// of ours.
func checkPath(p string) error {
	if p == "" || path.IsAbs(p) || path.Clean(p) != p || strings.HasPrefix(p, "..") || p == "." {
		return fmt.Errorf("%q is no path inside of a volume", p)
	}
	return nil
}

// same says whether the current content is already the wanted one, so that
// those who watch it are not woken for nothing.
func same(root *os.Root, dir string, v protocol.Volume) bool {
	wanted := map[string]protocol.File{}
	for _, f := range v.Files {
		wanted[f.Path] = f
	}
	content, err := root.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer content.Close()
	equal := true
	err = fs.WalkDir(content.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, ok := wanted[p]
		delete(wanted, p)
		current, err := content.ReadFile(p)
		if err != nil {
			return err
		}
		info, err := content.Stat(p)
		if err != nil {
			return err
		}
		equal = equal && ok && bytes.Equal(current, f.Data) && info.Mode() == fileMode(f, v.GID)
		return nil
	})
	return err == nil && equal && len(wanted) == 0
}

func write(root *os.Root, dir string, v protocol.Volume) error {
	if err := makeDir(root, dir, v.GID); err != nil {
		return err
	}
	for _, f := range v.Files {
		for _, parent := range parents(f.Path) {
			if err := makeDir(root, path.Join(dir, parent), v.GID); err != nil {
				return err
			}
		}
		if err := writeFile(root, path.Join(dir, f.Path), f, v.GID); err != nil {
			return err
		}
	}
	return nil
}

// parents are the directories of a path, outermost first.
func parents(p string) []string {
	var found []string
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		found = append(found, dir)
	}
	slices.Reverse(found)
	return found
}

func makeDir(root *os.Root, name string, gid *int64) error {
	err := root.Mkdir(name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	mode := fs.FileMode(contentMode)
	if gid != nil {
		if err := root.Lchown(name, -1, int(*gid)); err != nil {
			return err
		}
		mode |= fs.ModeSetgid
	}
	return root.Chmod(name, mode)
}

// fileMode is a file's mode; a group that the volume belongs to may read it.
func fileMode(f protocol.File, gid *int64) fs.FileMode {
	mode := unixMode(f.Mode)
	if gid != nil {
		mode |= 0o440
	}
	return mode
}

func writeFile(root *os.Root, name string, f protocol.File, gid *int64) error {
	if err := root.WriteFile(name, f.Data, 0o600); err != nil {
		return err
	}
	owner, group := int(f.UID), int(f.GID)
	if gid != nil {
		group = int(*gid)
	}
	if owner != os.Geteuid() || group != os.Getegid() {
		if err := root.Lchown(name, owner, group); err != nil {
			return err
		}
	}
	return root.Chmod(name, fileMode(f, gid))
}

// link makes the names that users see point into the current content.
func link(root *os.Root, files []protocol.File) error {
	for _, f := range files {
		name, _, _ := strings.Cut(f.Path, "/")
		target := path.Join(data, name)
		if current, err := root.Readlink(name); err == nil && current == target {
			continue
		}
		if err := root.RemoveAll(name); err != nil {
			return err
		}
		if err := root.Symlink(target, name); err != nil {
			return err
		}
	}
	return nil
}

// removeStale removes earlier contents and the names that are no more.
func removeStale(root *os.Root, current string, files []protocol.File) error {
	keep := map[string]bool{data: true, current: true}
	for _, f := range files {
		name, _, _ := strings.Cut(f.Path, "/")
		keep[name] = true
	}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if keep[e.Name()] {
			continue
		}
		if err := root.RemoveAll(e.Name()); err != nil {
			return err
		}
	}
	return nil
}
