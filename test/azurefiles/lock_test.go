package azurefiles

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ofd locks a range of a file as etcd does; no length is all that follows.
func ofd(f *os.File, kind int16, start, length int64) error {
	return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Start: start, Len: length})
}

// TestLocks: locks of one client bind the other, whichever call made them, and
// who never asks for one.
func TestLocks(t *testing.T) {
	for name, take := range map[string]func(*os.File) error{
		"fcntl": func(f *os.File) error { return ofd(f, unix.F_WRLCK, 0, 0) },
		"flock": func(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, Options{})
			_, a := s.mount(MountOptions{Client: "a"})
			_, b := s.mount(MountOptions{Client: "b"})
			fa := s.open(a, "file", create)
			s.must(take(fa)) // the client keeps it to itself
			fb := s.open(b, "file", os.O_RDWR)
			s.want("fcntl by the other", ofd(fb, unix.F_WRLCK, 0, 0), unix.EACCES)
			s.want("flock by the other", unix.Flock(int(fb.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EACCES)
			_, err := fb.WriteAt([]byte("x"), 0)
			s.want("write by the other", err, unix.EACCES)
			s.write(fa, "mine", 0)
			_, err = fb.ReadAt(make([]byte, 4), 0)
			s.want("read by the other", err, unix.EACCES)
			own := s.open(a, "file", os.O_RDWR)
			s.want("lock by another handle of the same client", take(own), unix.EACCES)
			s.must(fa.Close())
			s.want("lock after a close", take(fb), 0)
			s.write(fb, "ours", 0)
			s.wantDurable("file", "ours")
		})
	}
}

// TestLockRanges: locks are of ranges, and may be shared.
func TestLockRanges(t *testing.T) {
	s := newScene(t, Options{})
	_, a := s.mount(MountOptions{Client: "a"})
	_, b := s.mount(MountOptions{Client: "b"})
	fa, fb := s.open(a, "file", create), s.open(b, "file", create)
	s.must(ofd(fa, unix.F_WRLCK, 0, 10))
	s.must(ofd(fb, unix.F_WRLCK, 10, 10))
	s.want("overlap", ofd(fb, unix.F_WRLCK, 9, 5), unix.EACCES)
	s.write(fb, "b", 10)
	_, err := fb.WriteAt([]byte("bb"), 9)
	s.want("write across", err, unix.EACCES)
	got := unix.Flock_t{Type: unix.F_WRLCK}
	s.must(unix.FcntlFlock(fb.Fd(), unix.F_OFD_GETLK, &got))
	if got.Type != unix.F_WRLCK || got.Start != 0 || got.Len != 10 {
		t.Errorf("the lock in the way is %+v", got)
	}
	s.must(ofd(fa, unix.F_UNLCK, 0, 10))
	s.must(ofd(fb, unix.F_UNLCK, 0, 0))
	s.must(ofd(fa, unix.F_RDLCK, 0, 0))
	s.must(ofd(fb, unix.F_RDLCK, 0, 0))
	s.want("exclusive beside shared", ofd(fb, unix.F_WRLCK, 0, 0), unix.EACCES)
	_, err = fa.WriteAt([]byte("a"), 0)
	s.want("write with a shared lock", err, unix.EACCES)
}

// TestLockWait: who waits for a lock gets it when it is free.
func TestLockWait(t *testing.T) {
	s := newScene(t, Options{})
	a, at := s.mount(MountOptions{Client: "a"})
	_, b := s.mount(MountOptions{Client: "b"})
	s.must(unix.Flock(int(s.open(at, "file", create).Fd()), unix.LOCK_EX))
	fb := s.open(b, "file", os.O_RDWR)
	got := make(chan error)
	go func() { got <- unix.Flock(int(fb.Fd()), unix.LOCK_EX) }()
	select {
	case err := <-got:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.must(a.Kill())
	s.want("lock of a client that was killed", <-got, 0)
}

// TestNoBRL is the control: with nobrl, the server knows of no lock.
func TestNoBRL(t *testing.T) {
	s := newScene(t, Options{})
	_, a := s.mount(MountOptions{Client: "a", NoBRL: true})
	_, b := s.mount(MountOptions{Client: "b", NoBRL: true})
	fa, fb := s.open(a, "file", create), s.open(b, "file", create)
	s.must(ofd(fa, unix.F_WRLCK, 0, 0))
	s.want("lock by the other", ofd(fb, unix.F_WRLCK, 0, 0), 0)
	s.write(fb, "b", 0)
	s.want("lock by another handle of the same client", ofd(s.open(a, "file", os.O_RDWR), unix.F_WRLCK, 0, 0), unix.EACCES)
}

// TestFreeze: a frozen client does nothing; the server gives up waiting for it,
// and knows nothing of the locks that it had kept to itself. So a lock on a
// share is no fence: once thawed, it writes as if it had its lock.
func TestFreeze(t *testing.T) {
	s := newScene(t, Options{BreakTimeout: 100 * time.Millisecond})
	a, at := s.mount(MountOptions{Client: "a"})
	_, b := s.mount(MountOptions{Client: "b"})
	fa := s.open(at, "file", create)
	s.must(ofd(fa, unix.F_WRLCK, 0, 0))
	s.write(fa, "kept by a", 0)
	a.Freeze()
	done := make(chan error)
	go func() { done <- fa.Sync() }()
	fb := s.open(b, "file", os.O_RDWR)
	s.must(ofd(fb, unix.F_WRLCK, 0, 0))
	s.write(fb, "taken over", 0)
	s.must(fb.Sync())
	s.wantDurable("file", "taken over")
	select {
	case err := <-done:
		t.Fatalf("a frozen client synced: %v", err)
	default:
	}
	a.Thaw()
	s.want("the first write after the thaw", <-done, 0)
	s.wantDurable("file", "kept by ar")
	_, err := fa.WriteAt([]byte("a"), 0)
	s.want("the next, as the server knows of the lock now", err, unix.EACCES)
}

// TestCloseHandles is the fence: what is closed by force is closed, the locks
// are gone, and a directory in which it was can be renamed.
func TestCloseHandles(t *testing.T) {
	s := newScene(t, Options{BreakTimeout: 10 * time.Millisecond})
	a, at := s.mount(MountOptions{Client: "a"})
	_, b := s.mount(MountOptions{Client: "b"})
	s.must(os.Mkdir(filepath.Join(at, "epoch-1"), 0o700))
	f := s.open(at, "epoch-1/wal", create)
	s.must(ofd(f, unix.F_WRLCK, 0, 0))
	s.write(f, "acknowledged", 0)
	s.must(f.Sync())
	s.write(f, "not", 0)
	a.Freeze()
	s.want("rename", os.Rename(filepath.Join(b, "epoch-1"), filepath.Join(b, "sealed-1")), unix.EACCES)
	if n := s.CloseHandles("/epoch", true); n != 0 {
		t.Errorf("%d handles of another directory were closed", n)
	}
	if n := s.CloseHandles("/epoch-1", false); n != 0 {
		t.Errorf("%d handles of the directory itself were closed", n)
	}
	if n := s.CloseHandles("/epoch-1", true); n != 1 {
		t.Errorf("%d handles were closed, want 1", n)
	}
	s.must(os.Rename(filepath.Join(b, "epoch-1"), filepath.Join(b, "sealed-1")))
	fb := s.open(b, "sealed-1/wal", os.O_RDWR)
	s.must(ofd(fb, unix.F_WRLCK, 0, 0))
	a.Thaw()
	_, err := f.WriteAt([]byte("late"), 0)
	s.want("write after the thaw", err, unix.EBADF)
	s.want("sync after the thaw", f.Sync(), unix.EBADF)
	_, err = os.OpenFile(f.Name(), os.O_RDWR, 0)
	s.want("open by the path of old", err, unix.ENOENT)
	s.must(fb.Close())
	again := s.open(at, "sealed-1/wal", os.O_RDWR)
	s.must(again.Sync())
	if got := s.read(again); got != "acknowledged" {
		t.Errorf("the first client reads %q", got)
	}
	s.wantDurable("sealed-1/wal", "acknowledged")
}

// TestReopen: a client that opens by itself what was closed goes on writing,
// unless the file is somewhere else.
func TestReopen(t *testing.T) {
	s := newScene(t, Options{})
	_, a := s.mount(MountOptions{Client: "a", Reopen: true})
	_, b := s.mount(MountOptions{Client: "b"})
	s.must(os.Mkdir(filepath.Join(a, "epoch-1"), 0o700))
	f := s.open(a, "epoch-1/wal", create)
	s.write(f, "kept", 0)
	s.CloseHandles("/", true)
	s.want("sync", f.Sync(), 0)
	s.wantDurable("epoch-1/wal", "kept")
	s.write(f, "more", 0)
	s.CloseHandles("/", true)
	s.must(os.Rename(filepath.Join(b, "epoch-1"), filepath.Join(b, "sealed-1")))
	s.want("sync after the rename", f.Sync(), unix.ENOENT)
	s.wantDurable("sealed-1/wal", "kept")
}

// TestLinger: handles of a dead client can outlive it, until they are closed by
// force.
func TestLinger(t *testing.T) {
	s := newScene(t, Options{Linger: true, BreakTimeout: 10 * time.Millisecond})
	a, at := s.mount(MountOptions{Client: "a"})
	_, b := s.mount(MountOptions{Client: "b"})
	s.must(os.Mkdir(filepath.Join(at, "dir"), 0o700))
	s.write(s.open(at, "dir/file", create), "lost", 0)
	s.must(a.Kill())
	s.want("rename", os.Rename(filepath.Join(b, "dir"), filepath.Join(b, "moved")), unix.EACCES)
	if n := s.CloseHandles("/dir", true); n != 1 {
		t.Errorf("%d handles were closed, want 1", n)
	}
	s.must(os.Rename(filepath.Join(b, "dir"), filepath.Join(b, "moved")))
	s.wantDurable("moved/file", "")
}
