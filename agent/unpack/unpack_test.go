package unpack_test

import (
	"archive/tar"
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"frankenetes.dev/agent/unpack"
)

// archive writes entries; those without an owner are ours.
func archive(t *testing.T, entries ...tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		content := h.PAXRecords["content"]
		h.PAXRecords, h.Size = nil, int64(len(content))
		h.Uid, h.Gid = os.Getuid(), os.Getgid()
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func file(name, content string, mode int64) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, PAXRecords: map[string]string{"content": content}}
}

func TestARootIsAsTheArchiveSays(t *testing.T) {
	dir := t.TempDir()
	err := unpack.Dir(dir, archive(t,
		file("./usr/bin/tool", "the tool", 0o4755),
		tar.Header{Typeflag: tar.TypeLink, Name: "usr/bin/also", Linkname: "usr/bin/later"}, // before what it links to
		tar.Header{Typeflag: tar.TypeSymlink, Name: "bin", Linkname: "usr/bin"},
		file("bin/through", "a link", 0o644),
		file("usr/bin/later", "later", 0o600),
		file("usr/bin/tool", "of a layer below", 0o644),
		tar.Header{Typeflag: tar.TypeDir, Name: "locked/", Mode: 0o710},
		file("locked/inside", "x", 0o400),
		tar.Header{Typeflag: tar.TypeDir, Name: "/", Mode: 0o755},
		tar.Header{Typeflag: tar.TypeChar, Name: "dev/null", Mode: 0o666},
	))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"usr/bin/tool": "the tool", "bin/tool": "the tool", "usr/bin/also": "later", "usr/bin/through": "a link", "locked/inside": "x",
	} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]fs.FileMode{
		"usr/bin/tool": fs.ModeSetuid | 0o755, "usr/bin/later": 0o600, "locked": fs.ModeDir | 0o710, ".": fs.ModeDir | 0o755,
	} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "dev", "null")); !os.IsNotExist(err) {
		t.Errorf("a device: %v", err)
	}
}

func TestNothingIsWrittenOutside(t *testing.T) {
	for title, entries := range map[string][]tar.Header{
		"a name":     {file("../../outside", "x", 0o644)},
		"a link":     {{Typeflag: tar.TypeSymlink, Name: "way", Linkname: "../.."}, file("way/outside", "x", 0o644)},
		"a root":     {{Typeflag: tar.TypeSymlink, Name: "way", Linkname: "/tmp"}, file("way/outside", "x", 0o644)},
		"hard links": {{Typeflag: tar.TypeLink, Name: "way", Linkname: "../../secret"}},
	} {
		top := t.TempDir()
		dir := filepath.Join(top, "a", "b")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(top, "secret"), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		err := unpack.Dir(dir, archive(t, entries...))
		for _, outside := range []string{filepath.Join(top, "outside"), "/tmp/outside"} {
			if _, missing := os.Stat(outside); !os.IsNotExist(missing) {
				t.Errorf("%s led to %s: %v", title, outside, missing)
			}
		}
		if _, there := os.Stat(filepath.Join(dir, "way")); title == "hard links" && (err == nil || there == nil) {
			t.Errorf("%s: %v", title, err)
		}
	}
}

func TestABrokenArchiveIsAnError(t *testing.T) {
	whole := archive(t, file("a", "content that is cut off", 0o644)).Bytes()
	if err := unpack.Dir(t.TempDir(), bytes.NewReader(whole[:520])); err == nil {
		t.Error("half an archive was taken for whole")
	}
}
