package azurefiles

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestKill: a client that is killed loses exactly what it had not synced.
func TestKill(t *testing.T) {
	s := newScene(t, Options{})
	a, dir := s.mount(MountOptions{Client: "a"})
	f := s.open(dir, "log", create)
	s.write(f, "synced", 0)
	s.must(unix.Fdatasync(int(f.Fd())))
	s.write(f, "S", 0)
	s.write(f, " and not", 6)
	if got := s.read(f); got != "Synced and not" {
		t.Errorf("the client reads %q of what it wrote", got)
	}
	empty := s.open(dir, "new", create)
	s.write(empty, "lost", 0)
	closed := s.open(dir, "closed", create)
	s.write(closed, "closed", 0)
	s.must(closed.Close())
	s.must(a.Kill())
	s.wantDurable("log", "synced")
	s.wantDurable("new", "")
	s.wantDurable("closed", "closed")
	_, err := f.WriteAt([]byte("x"), 0)
	s.want("write after the end", err, unix.ENOTCONN)
	s.must(a.Kill()) // again

	_, again := s.mount(MountOptions{Client: "a"})
	got, err := os.ReadFile(filepath.Join(again, "log"))
	s.must(err)
	if string(got) != "synced" {
		t.Errorf("a new client reads %q", got)
	}
	if list := s.Handles(); len(list) != 0 {
		t.Errorf("handles are left: %v", list)
	}
}

// TestTruncate: sizes are the server's at once, and cut what was not synced.
func TestTruncate(t *testing.T) {
	s := newScene(t, Options{})
	_, dir := s.mount(MountOptions{Client: "a"})
	f := s.open(dir, "file", create)
	s.write(f, "0123456789", 0)
	s.must(f.Truncate(4))
	s.wantDurable("file", "\x00\x00\x00\x00")
	s.must(f.Sync())
	s.wantDurable("file", "0123")
	s.must(f.Truncate(6))
	if got := s.read(f); got != "0123\x00\x00" {
		t.Errorf("the client reads %q", got)
	}
	s.open(dir, "file", os.O_RDWR|os.O_TRUNC)
	s.wantDurable("file", "")
}

// TestTwoClients: what one has cached the other gets, and from then on nothing
// is cached by either.
func TestTwoClients(t *testing.T) {
	s := newScene(t, Options{})
	_, a := s.mount(MountOptions{Client: "a"})
	_, b := s.mount(MountOptions{Client: "b"})
	fa := s.open(a, "file", create)
	s.write(fa, "from a", 0)
	s.wantDurable("file", "")
	fb := s.open(b, "file", os.O_RDWR)
	s.wantDurable("file", "from a")
	if got := s.read(fb); got != "from a" {
		t.Errorf("b reads %q", got)
	}
	for range 20 {
		for who, f := range map[string]*os.File{"a": fa, "b": fb} {
			s.write(f, "from "+who, 0)
			s.wantDurable("file", "from "+who)
			if got, other := s.read(fa), s.read(fb); got != "from "+who || other != got {
				t.Fatalf("after %s wrote, a reads %q and b %q", who, got, other)
			}
		}
	}
	want := []Handle{{"a", "/file"}, {"b", "/file"}}
	if got := s.Handles(); !slices.Equal(got, want) {
		t.Errorf("handles are %v, want %v", got, want)
	}
}

// TestQuota: a full share says so when a client syncs, as its kernel does not
// know before.
func TestQuota(t *testing.T) {
	s := newScene(t, Options{})
	_, dir := s.mount(MountOptions{Client: "a"})
	f := s.open(dir, "file", create)
	s.SetQuota(1000)
	s.want("make it longer", f.Truncate(1001), unix.ENOSPC)
	s.write(f, string(make([]byte, 1001)), 0)
	s.want("sync", f.Sync(), unix.ENOSPC)
	s.wantDurable("file", "")
	s.write(f, "small", 0)
	s.want("sync", f.Sync(), 0)
	var stat unix.Statfs_t
	s.must(unix.Statfs(dir, &stat))
	if stat.Blocks != 0 { // less than one of 4096 bytes
		t.Errorf("the share has %d blocks", stat.Blocks)
	}
}

// TestFault: operations fail and take as long as the test wants. What could not
// be synced is lost.
func TestFault(t *testing.T) {
	s := newScene(t, Options{})
	_, dir := s.mount(MountOptions{Client: "a"})
	f := s.open(dir, "file", create)
	var mu sync.Mutex
	var ops []Op
	s.SetFault(func(op Op) error {
		mu.Lock()
		defer mu.Unlock()
		ops = append(ops, op)
		if op.Name == "fsync" && op.Path == "/file" {
			return unix.EIO
		}
		return nil
	})
	s.write(f, "data", 0)
	s.want("sync", f.Sync(), unix.EIO)
	s.SetFault(nil)
	s.want("sync again", f.Sync(), 0)
	s.wantDurable("file", "")
	if !slices.Contains(ops, Op{"a", "write", "/file"}) {
		t.Errorf("no write among %v", ops)
	}
	const latency = 50 * time.Millisecond
	s.SetFault(func(Op) error { time.Sleep(latency); return nil })
	start := time.Now()
	s.must(f.Sync())
	if took := time.Since(start); took < latency {
		t.Errorf("a sync took %v, less than the latency", took)
	}
	s.SetFault(nil)
}
