package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// root is a root file system made of packages, unpacked without running
// anything of theirs: what their scripts would do and is wanted here is done
// by newRoot, finish, and the images' own entries.
type root struct {
	files map[string]file
}

// file is an entry by its path without a leading slash.
type file struct {
	header  tar.Header
	content []byte
}

func newRoot() *root {
	r := &root{files: map[string]file{}}
	// Packages put files into these, which are links in Debian's systems.
	for _, name := range merged() {
		r.link(name, "usr/"+name)
		r.files["usr/"+name] = file{header: tar.Header{Typeflag: tar.TypeDir, Mode: 0o755}}
	}
	return r
}

// link adds a symbolic link.
func (r *root) link(name, target string) {
	r.files[name] = file{header: tar.Header{Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}}
}

// merged are the directories that are links into usr.
func merged() []string { return []string{"bin", "lib", "lib64", "sbin"} }

// place is where a path of a package is in the file system.
func place(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	for _, dir := range merged() {
		if name == dir || strings.HasPrefix(name, dir+"/") {
			return "usr/" + name
		}
	}
	return name
}

// ours reports whether an entry is one of the links that newRoot makes.
func ours(h *tar.Header) bool {
	return h.Typeflag == tar.TypeSymlink && slices.Contains(merged(), path.Base(path.Clean(h.Name))) && path.Dir(path.Clean(h.Name)) == "."
}

// unwanted are the parts of packages that are for people.
func unwanted(name string) bool {
	for _, dir := range []string{"usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian", "usr/share/doc"} {
		if within := strings.HasPrefix(name, dir+"/"); within && path.Base(name) != "copyright" {
			return true
		}
	}
	return false
}

// add unpacks a package.
func (r *root) add(ctx context.Context, archive string) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", archive)
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(archive), err)
	}
	if err := r.unpack(tar.NewReader(bytes.NewReader(out))); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(archive), err)
	}
	return nil
}

func (r *root) unpack(archive *tar.Reader) error {
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := place(h.Name)
		if name == "" || unwanted(name) || ours(h) {
			continue
		}
		f := file{header: tar.Header{Typeflag: h.Typeflag, Linkname: h.Linkname, Mode: h.Mode, Uid: h.Uid, Gid: h.Gid}}
		switch h.Typeflag {
		case tar.TypeReg:
			if f.content, err = io.ReadAll(archive); err != nil {
				return err
			}
		case tar.TypeLink:
			target, ok := r.files[place(h.Linkname)]
			if !ok {
				return fmt.Errorf("%s is a link to %s, which is not there", h.Name, h.Linkname)
			}
			f = target
		case tar.TypeDir:
			if _, there := r.files[name]; there {
				continue
			}
		}
		r.files[name] = f
	}
}

// finish does what the scripts of base-passwd would do.
func (r *root) finish() {
	for _, name := range []string{"passwd", "group"} {
		if master, ok := r.files["usr/share/base-passwd/"+name+".master"]; ok {
			r.files["etc/"+name] = master
		}
	}
}

// epoch is the time of every file: the same packages give the same layer.
var epoch = time.Unix(0, 0).UTC()

// tar writes all of it.
func (r *root) tar() ([]byte, error) {
	r.finish()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	names := make([]string, 0, len(r.files))
	for name := range r.files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		f := r.files[name]
		h := f.header
		h.Name, h.Size, h.ModTime, h.Format = name, int64(len(f.content)), epoch, tar.FormatPAX
		if h.Typeflag == tar.TypeDir {
			h.Name += "/"
		}
		if err := w.WriteHeader(&h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
