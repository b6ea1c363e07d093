package main

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"
)

// archive is a package's files.
func archive(t *testing.T, headers ...tar.Header) *tar.Reader {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content = "I am " + h.Name
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return tar.NewReader(&buf)
}

func TestPackagesBecomeARootFileSystem(t *testing.T) {
	r := newRoot()
	r.link("usr/bin/sh", "busybox")
	r.link("usr/bin/ip", "busybox")
	err := r.unpack(archive(t,
		tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./sbin", Typeflag: tar.TypeSymlink, Linkname: "usr/sbin"},
		tar.Header{Name: "./bin/ip", Typeflag: tar.TypeReg, Mode: 0o755},
		tar.Header{Name: "./usr/bin/passwd", Typeflag: tar.TypeReg, Mode: 0o4755, Gid: 42},
		tar.Header{Name: "./usr/bin/again", Typeflag: tar.TypeLink, Linkname: "./bin/ip"},
		tar.Header{Name: "./usr/share/doc/ip/README", Typeflag: tar.TypeReg, Mode: 0o644},
		tar.Header{Name: "./usr/share/doc/ip/copyright", Typeflag: tar.TypeReg, Mode: 0o644},
		tar.Header{Name: "./usr/share/base-passwd/passwd.master", Typeflag: tar.TypeReg, Mode: 0o644},
	))
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.tar()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]tar.Header{}
	content := map[string]string{}
	for archive := tar.NewReader(bytes.NewReader(first)); ; {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name], content[h.Name] = *h, string(data)
	}
	if h := got["bin"]; h.Typeflag != tar.TypeSymlink || h.Linkname != "usr/bin" {
		t.Errorf("/bin: %+v", h)
	}
	if h := got["usr/sbin/"]; h.Typeflag != tar.TypeDir || got["sbin"].Linkname != "usr/sbin" {
		t.Errorf("/usr/sbin: %+v", h)
	}
	if h := got["usr/bin/sh"]; h.Linkname != "busybox" {
		t.Errorf("the shell of no package: %+v", h)
	}
	if content["usr/bin/ip"] != "I am ./bin/ip" || content["usr/bin/again"] != "I am ./bin/ip" {
		t.Errorf("a package's file and a link to it: %q, %q", content["usr/bin/ip"], content["usr/bin/again"])
	}
	if h := got["usr/bin/passwd"]; h.Mode != 0o4755 || h.Gid != 42 {
		t.Errorf("mode and owner: %+v", h)
	}
	if content["etc/passwd"] != "I am ./usr/share/base-passwd/passwd.master" {
		t.Errorf("/etc/passwd: %q", content["etc/passwd"])
	}
	if _, ok := got["usr/share/doc/ip/README"]; ok {
		t.Error("a manual is there")
	}
	if _, ok := got["usr/share/doc/ip/copyright"]; !ok {
		t.Error("a licence is not there")
	}
	second, err := r.tar()
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same packages give another layer: %v", err)
	}
}

func TestAptsWordsAreFiles(t *testing.T) {
	files, err := apt{"/d"}.files("Reading package lists...\n'http://deb/pool/b_2%3a1_amd64.deb' b_2%3a1_amd64.deb 12 SHA256:0\n'http://deb/a_1.deb' a_1.deb 3 SHA256:1\n")
	if err != nil || len(files) != 2 || files[0] != "/d/cache/archives/a_1.deb" || files[1] != "/d/cache/archives/b_2%3a1_amd64.deb" {
		t.Errorf("%v, %v", files, err)
	}
	if _, err := (apt{"/d"}).files("nothing to do\n"); err == nil {
		t.Error("no files are no error")
	}
}
