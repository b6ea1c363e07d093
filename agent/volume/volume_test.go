package volume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"frankenetes.dev/agent/protocol"
	"github.com/google/go-cmp/cmp"
)

// file is one that belongs to whoever runs the test.
func file(path, data string, mode uint32) protocol.File {
	return protocol.File{Path: path, Data: []byte(data), Mode: mode, UID: int64(os.Geteuid()), GID: int64(os.Getegid())}
}

func put(t *testing.T, dir string, v protocol.Volume) {
	t.Helper()
	if err := Put(dir, v); err != nil {
		t.Fatal(err)
	}
}

// users is what users of a volume see: every path, with its data.
func users(t *testing.T, dir string) map[string]string {
	t.Helper()
	seen := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		real, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(real, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			seen[e.Name()+strings.TrimPrefix(path, real)] = string(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return seen
}

func contents(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "..2*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestAtomicVolumeIsReplacedAsAWhole(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, protocol.Volume{Atomic: true, Files: []protocol.File{
		file("color", "red", 0o644), file("deep/er/shape", "round", 0o600), file("gone", "soon", 0o644),
	}})
	want := map[string]string{"color": "red", "deep/er/shape": "round", "gone": "soon"}
	if diff := cmp.Diff(want, users(t, dir)); diff != "" {
		t.Fatal(diff)
	}
	before, err := os.Readlink(filepath.Join(dir, "..data"))
	if err != nil {
		t.Fatal(err)
	}

	put(t, dir, protocol.Volume{Atomic: true, Files: []protocol.File{
		file("color", "blue", 0o644), file("deep", "now a file", 0o644),
	}})
	if diff := cmp.Diff(map[string]string{"color": "blue", "deep": "now a file"}, users(t, dir)); diff != "" {
		t.Error(diff)
	}
	if after, _ := os.Readlink(filepath.Join(dir, "..data")); after == before {
		t.Error("..data was not swapped")
	}
	if left := contents(t, dir); len(left) != 1 {
		t.Errorf("old contents are left: %v", left)
	}
	if link, _ := os.Readlink(filepath.Join(dir, "color")); link != "..data/color" {
		t.Errorf("color links to %q", link)
	}
}

func TestUnchangedContentIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	v := protocol.Volume{Atomic: true, Files: []protocol.File{file("a", "1", 0o644)}}
	put(t, dir, v)
	before := contents(t, dir)
	put(t, dir, v)
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Errorf("same content: %s", diff)
	}
	v.Files[0].Mode = 0o600
	put(t, dir, v)
	if cmp.Equal(before, contents(t, dir)) {
		t.Error("another mode is a change")
	}
}

func TestReadersNeverSeeAMixture(t *testing.T) {
	dir := t.TempDir()
	version := func(v string) protocol.Volume {
		return protocol.Volume{Atomic: true, Files: []protocol.File{file("a", v, 0o644), file("b", v, 0o644)}}
	}
	put(t, dir, version("0"))
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			// One look at ..data, then all of what it names, as careful readers do.
			content, err := os.OpenRoot(filepath.Join(dir, "..data"))
			if errors.Is(err, fs.ErrNotExist) {
				if _, err := os.Readlink(filepath.Join(dir, "..data")); err != nil {
					t.Error(err)
				}
				continue // what it named was removed since
			}
			if err != nil {
				t.Error(err)
				return
			}
			a, err1 := content.ReadFile("a")
			b, err2 := content.ReadFile("b")
			content.Close()
			if errors.Is(errors.Join(err1, err2), fs.ErrNotExist) {
				continue // it was removed since
			}
			if string(a) != string(b) {
				t.Errorf("a is %q while b is %q", a, b)
			}
		}
	})
	for i := range 200 {
		put(t, dir, version(strings.Repeat("x", i)))
	}
	close(stop)
	reader.Wait()
}

func TestModesAndGroup(t *testing.T) {
	dir := t.TempDir()
	gid := int64(os.Getegid())
	put(t, dir, protocol.Volume{Atomic: true, Mode: 0o755, GID: &gid, Files: []protocol.File{file("d/f", "x", 0o400)}})
	for path, want := range map[string]fs.FileMode{
		".":          fs.ModeDir | fs.ModeSetgid | 0o755,
		"..data/d":   fs.ModeDir | fs.ModeSetgid | 0o755,
		"..data/d/f": 0o440,
	} {
		info, err := os.Stat(filepath.Join(dir, path))
		if err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, want %v (%v)", path, info.Mode(), want, err)
		}
	}
	empty := t.TempDir()
	put(t, empty, protocol.Volume{Mode: 0o707, GID: &gid})
	if info, err := os.Stat(empty); err != nil || info.Mode() != fs.ModeDir|fs.ModeSetgid|0o777 {
		t.Errorf("an emptyDir has mode %v (%v)", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(empty); len(entries) != 0 {
		t.Errorf("an emptyDir got %v", entries)
	}
}

func TestPathsStayInside(t *testing.T) {
	for _, path := range []string{"", ".", "..", "../up", "/abs", "a/../../up", "a//b", "..data", "..x/y", "a/"} {
		dir := t.TempDir()
		err := Put(dir, protocol.Volume{Atomic: true, Files: []protocol.File{file(path, "x", 0o644)}})
		if err == nil {
			t.Errorf("%q was accepted", path)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("%q left %v", path, entries)
		}
	}
}

func TestLinksThatLeadOutsideAreNotFollowed(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "f")
	if err := os.WriteFile(secret, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"..data": outside, "f": secret} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	_ = Put(dir, protocol.Volume{Atomic: true, Files: []protocol.File{file("f", "new", 0o644)}})
	if data, err := os.ReadFile(secret); string(data) != "precious" || err != nil {
		t.Errorf("the file outside is now %q (%v)", data, err)
	}
}

func TestVolumeMustExist(t *testing.T) {
	if err := Put(filepath.Join(t.TempDir(), "none"), protocol.Volume{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestReadFindsFilesOnly(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	for _, err := range []error{
		os.WriteFile(outside, []byte("secret"), 0o600),
		os.Mkdir(filepath.Join(dir, "sub"), 0o755),
		os.WriteFile(filepath.Join(dir, "sub", "file"), []byte("COLOUR=green\n"), 0o644),
		os.WriteFile(filepath.Join(dir, "large"), make([]byte, maxRead+1), 0o644),
		os.Symlink(outside, filepath.Join(dir, "out")),
		os.Symlink("sub/file", filepath.Join(dir, "in")),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"sub/file", "in"} {
		if got, err := Read(dir, name); string(got) != "COLOUR=green\n" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "sub", "none", "large", "out", "pipe", "../" + filepath.Base(filepath.Dir(outside)) + "/secret", outside} {
		if got, err := Read(dir, name); err == nil {
			t.Errorf("%s: %d bytes were read", name, len(got))
		}
	}
}
