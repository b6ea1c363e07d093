// Package unpack writes a root file system that comes as a tar archive. It
// exists because a group's containers are fixed when it is made: an agent that
// is to run a program of another image has to make the program's root itself.
package unpack

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Dir writes an archive into a directory that is there and empty. Whatever the
// archive has, nothing is written outside of it. Devices are left out; the
// first of several entries of one name counts, as it does where an archive was
// made of an image's layers from the last to the first.
func Dir(dir string, archive io.Reader) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer root.Close()
	u := unpacker{root: root, seen: map[string]bool{}}
	for entries := tar.NewReader(archive); ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return u.finish()
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		if err := u.entry(h, entries); err != nil {
			return fmt.Errorf("unpack %s: %w", h.Name, err)
		}
	}
}

type unpacker struct {
	root *os.Root
	seen map[string]bool
	// links are made in the end, when what they link to is there.
	links []*tar.Header
	// dirs get their modes in the end: files may have to be written into them.
	dirs []*tar.Header
}

func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	name := clean(h.Name)
	if u.seen[name] {
		return nil
	}
	u.seen[name] = true
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		u.dirs = append(u.dirs, h)
		return u.root.MkdirAll(name, 0o755)
	case tar.TypeLink:
		u.links = append(u.links, h)
		return nil
	case tar.TypeSymlink:
		return errors.Join(u.root.Symlink(h.Linkname, name), u.root.Lchown(name, h.Uid, h.Gid))
	case tar.TypeReg:
		return u.file(name, h, content)
	}
	return nil
}

func (u *unpacker) file(name string, h *tar.Header, content io.Reader) error {
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return u.own(name, h)
}

// own gives owner and mode, in this order: a change of owner takes setuid away.
func (u *unpacker) own(name string, h *tar.Header) error {
	return errors.Join(u.root.Lchown(name, h.Uid, h.Gid), u.root.Chmod(name, h.FileInfo().Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)))
}

func (u *unpacker) finish() error {
	for _, h := range u.links {
		if err := u.root.Link(clean(h.Linkname), clean(h.Name)); err != nil {
			return fmt.Errorf("unpack %s: %w", h.Name, err)
		}
	}
	for _, h := range u.dirs {
		if err := u.own(clean(h.Name), h); err != nil {
			return fmt.Errorf("unpack %s: %w", h.Name, err)
		}
	}
	return nil
}

// clean writes a name of an archive as a path in the root.
func clean(name string) string {
	if name = strings.Trim(path.Clean("/"+name), "/"); name == "" {
		return "."
	}
	return name
}
