package azurefiles

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// scene is a share and the directory that it is kept in.
type scene struct {
	*Share
	t       *testing.T
	dir     string
	clients []*Client
}

// newScene makes a share, or says loudly that nothing is tested.
func newScene(t *testing.T, options Options) *scene {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root can mount a share")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("NOT TESTED: this kernel has no FUSE: %v", err)
	}
	dir := t.TempDir()
	s, err := New(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &scene{Share: s, t: t, dir: dir}
}

// mount mounts the share for a client of its own until the test ends.
func (s *scene) mount(options MountOptions) (*Client, string) {
	s.t.Helper()
	at, err := os.MkdirTemp("", "azurefiles-") // not below what the test removes before it unmounts
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := s.Mount(at, options)
	if err != nil {
		s.t.Fatal(err)
	}
	s.clients = append(s.clients, c)
	s.t.Cleanup(func() {
		if err := errors.Join(c.Kill(), os.Remove(at)); err != nil {
			s.t.Error(err)
		}
	})
	return c, at
}

// open opens a file of a mount, until the test ends if not before.
func (s *scene) open(at, name string, flags int) *os.File {
	s.t.Helper()
	f, err := os.OpenFile(filepath.Join(at, name), flags, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		for _, c := range s.clients {
			c.Thaw() // or the file could not be closed
		}
		f.Close()
	})
	return f
}

// durable returns what the share itself has of a file.
func (s *scene) durable(name string) string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

func (s *scene) wantDurable(name, want string) {
	s.t.Helper()
	if got := s.durable(name); got != want {
		s.t.Errorf("the share has %q in %s, want %q", got, name, want)
	}
}

// want compares an error with an errno; zero is none.
func (s *scene) want(what string, err error, want unix.Errno) {
	s.t.Helper()
	if want == 0 && err == nil || want != 0 && errors.Is(err, want) {
		return
	}
	s.t.Errorf("%s: %v, want %v", what, err, want)
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) write(f *os.File, data string, at int64) {
	s.t.Helper()
	if _, err := f.WriteAt([]byte(data), at); err != nil {
		s.t.Fatal(err)
	}
}

// read reads all of an open file.
func (s *scene) read(f *os.File) string {
	s.t.Helper()
	info, err := f.Stat()
	s.must(err)
	buf := make([]byte, info.Size())
	if _, err := f.ReadAt(buf, 0); err != nil {
		s.t.Fatal(err)
	}
	return string(buf)
}

const create = os.O_RDWR | os.O_CREATE
