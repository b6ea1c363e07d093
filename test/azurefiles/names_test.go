package azurefiles

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRenameDirectory: a directory stays where it is while anybody has a file
// in it open, at any depth. This is what stopped etcd on Azure Files.
func TestRenameDirectory(t *testing.T) {
	s := newScene(t, Options{})
	_, a := s.mount(MountOptions{Client: "a"})
	_, b := s.mount(MountOptions{Client: "b"})
	s.must(os.MkdirAll(filepath.Join(a, "wal.tmp/deep"), 0o700))
	f := s.open(a, "wal.tmp/deep/0.wal", create)
	for name, at := range map[string]string{"its own client": a, "another": b} {
		s.want("rename by "+name, os.Rename(filepath.Join(at, "wal.tmp"), filepath.Join(at, "wal")), unix.EACCES)
	}
	s.must(f.Close())
	s.must(os.Rename(filepath.Join(a, "wal.tmp"), filepath.Join(a, "wal")))
	if _, err := os.Stat(filepath.Join(b, "wal/deep/0.wal")); err != nil {
		t.Errorf("the other client does not see it: %v", err)
	}
	if _, err := os.Stat(filepath.Join(b, "wal.tmp")); !os.IsNotExist(err) {
		t.Errorf("the other client sees it where it was: %v", err)
	}
	open, err := os.Open(filepath.Join(a, "wal")) // a directory is no open file
	s.must(err)
	defer open.Close()
	s.must(os.Rename(filepath.Join(a, "wal"), filepath.Join(a, "again")))
}

// TestOpenFile: what may be done to a file that is open.
func TestOpenFile(t *testing.T) {
	s := newScene(t, Options{})
	_, a := s.mount(MountOptions{Client: "a"})
	_, b := s.mount(MountOptions{Client: "b"})
	f := s.open(a, "open", create)
	s.write(f, "open", 0)
	s.open(a, "other", create).Close()

	s.want("rename over it", os.Rename(filepath.Join(a, "other"), filepath.Join(a, "open")), unix.EACCES)
	s.want("rename over it by another", os.Rename(filepath.Join(b, "other"), filepath.Join(b, "open")), unix.EACCES)
	s.want("rename it", os.Rename(filepath.Join(a, "open"), filepath.Join(a, "moved")), 0)
	s.want("rename it by another", os.Rename(filepath.Join(b, "moved"), filepath.Join(b, "again")), 0)
	s.must(f.Sync())
	s.wantDurable("again", "open")
	s.want("unlink by another", os.Remove(filepath.Join(b, "again")), unix.EACCES)
	s.want("unlink", os.Remove(filepath.Join(a, "again")), 0)
	s.write(f, "still", 0)
	if got := s.read(f); got != "still" {
		t.Errorf("an unlinked file has %q", got)
	}
	s.want("rename over what is closed", os.Rename(filepath.Join(a, "other"), filepath.Join(a, "last")), 0)
	s.open(a, "more", create).Close()
	s.want("rename over what is closed", os.Rename(filepath.Join(a, "more"), filepath.Join(a, "last")), 0)
}

// TestRemoveDirectory: a directory is not empty while a file of it is open, be
// it unlinked.
func TestRemoveDirectory(t *testing.T) {
	s := newScene(t, Options{})
	_, a := s.mount(MountOptions{Client: "a"})
	dir := filepath.Join(a, "dir")
	s.must(os.Mkdir(dir, 0o700))
	f := s.open(a, "dir/file", create)
	s.want("remove a directory with a file", unix.Rmdir(dir), unix.ENOTEMPTY)
	s.must(os.Remove(f.Name()))
	s.want("remove it while the file is open", unix.Rmdir(dir), unix.ENOTEMPTY)
	s.must(f.Close())
	s.want("remove it afterwards", unix.Rmdir(dir), 0)
}

// TestNotThere: what SMB, as ACI mounts it, has not.
func TestNotThere(t *testing.T) {
	s := newScene(t, Options{})
	_, a := s.mount(MountOptions{Client: "a"})
	f := s.open(a, "file", create)
	s.want("symlink", os.Symlink("file", filepath.Join(a, "link")), unix.EOPNOTSUPP)
	s.want("link", os.Link(f.Name(), filepath.Join(a, "link")), unix.EOPNOTSUPP)
	s.want("fallocate that keeps the size", unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20), unix.EOPNOTSUPP)
	s.want("fallocate", unix.Fallocate(int(f.Fd()), 0, 0, 1<<20), 0)
	s.must(os.Chmod(f.Name(), 0o600))
	s.must(os.Chown(f.Name(), 7, 7))
	info, err := f.Stat()
	s.must(err)
	var stat unix.Stat_t
	s.must(unix.Fstat(int(f.Fd()), &stat))
	if info.Mode() != 0o777 || stat.Uid != 0 || stat.Gid != 0 || info.Size() != 1<<20 {
		t.Errorf("mode %v, owner %d:%d, %d bytes; want 0777, root, 1 MiB", info.Mode(), stat.Uid, stat.Gid, info.Size())
	}
	s.want("mkfifo", unix.Mkfifo(filepath.Join(a, "fifo"), 0o600), unix.EPERM)
}

// TestNames: names are the server's at once, and clients see each other's.
func TestNames(t *testing.T) {
	s := newScene(t, Options{})
	_, a := s.mount(MountOptions{Client: "a"})
	kept, b := s.mount(MountOptions{Client: "b"})
	for i := range 500 {
		s.open(a, "file"+string(rune('a'+i%26))+string(rune('a'+i/26)), create|os.O_EXCL).Close()
	}
	entries, err := os.ReadDir(b)
	s.must(err)
	if len(entries) != 500 {
		t.Errorf("the other client sees %d names, want 500", len(entries))
	}
	_, err = os.OpenFile(filepath.Join(b, "fileaa"), create|os.O_EXCL, 0o600)
	s.want("create what is there", err, unix.EEXIST)
	s.must(os.WriteFile(filepath.Join(s.dir, "outside"), []byte("1"), 0o644)) // as the REST API does
	got, err := os.ReadFile(filepath.Join(b, "outside"))
	s.must(err)
	if string(got) != "1" {
		t.Errorf("a file from outside has %q", got)
	}
	s.must(unix.Renameat2(unix.AT_FDCWD, filepath.Join(b, "outside"), unix.AT_FDCWD, filepath.Join(b, "new"), unix.RENAME_NOREPLACE))
	s.want("rename over what is there, if told not to",
		unix.Renameat2(unix.AT_FDCWD, filepath.Join(b, "new"), unix.AT_FDCWD, filepath.Join(b, "fileab"), unix.RENAME_NOREPLACE), unix.EEXIST)
	s.must(kept.Unmount())
	if entries, err := os.ReadDir(b); err != nil || len(entries) > 0 {
		t.Errorf("after it was unmounted there are %v, %v", entries, err)
	}
}
