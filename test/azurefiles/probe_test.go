package azurefiles

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// probe does what SMB has rules for, in an empty directory of a mount, and says
// what came of it. Our share and the real thing must say the same.
func probe(dir string) []string {
	var said []string
	say := func(what string, err error) {
		result := "yes"
		var number unix.Errno
		switch {
		case errors.As(err, &number):
			result = unix.ErrnoName(number)
		case err != nil:
			result = err.Error()
		}
		said = append(said, what+": "+result)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	open := func(name string) *os.File {
		f, err := os.OpenFile(at(name), create, 0o644)
		if err != nil {
			say("open "+name, err)
		}
		return f
	}
	say("mkdir", os.Mkdir(at("dir"), 0o700))
	f := open("dir/open")
	say("rename a directory with an open file", os.Rename(at("dir"), at("moved")))
	say("rmdir with an open file", unix.Rmdir(at("dir")))
	say("rename an open file", os.Rename(at("dir/open"), at("dir/renamed")))
	open("other").Close()
	say("rename over an open file", os.Rename(at("other"), at("dir/renamed")))
	say("close", f.Close())
	say("rename a directory with a closed file", os.Rename(at("dir"), at("moved")))
	say("rename over a closed file", os.Rename(at("other"), at("moved/renamed")))
	f = open("moved/renamed")
	say("unlink an open file", os.Remove(at("moved/renamed")))
	_, err := f.WriteAt([]byte("x"), 0)
	say("write to an unlinked file", err)
	say("rmdir with an unlinked open file", unix.Rmdir(at("moved")))
	say("close", f.Close())
	say("rmdir of an empty directory", unix.Rmdir(at("moved")))
	say("symlink", os.Symlink("target", at("link")))
	f = open("file")
	say("link", os.Link(at("file"), at("link")))
	say("fallocate", unix.Fallocate(int(f.Fd()), 0, 0, 1<<20))
	say("fallocate that keeps the size", unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 2<<20))
	say("chmod", f.Chmod(0o600))
	info, err := f.Stat()
	say("stat", err)
	say(fmt.Sprintf("mode %v, size %d", info.Mode(), info.Size()), nil)
	say("lock", ofd(f, unix.F_WRLCK, 0, 0))
	g := open("file")
	say("lock by another handle", ofd(g, unix.F_WRLCK, 0, 0))
	say("flock by another handle", unix.Flock(int(g.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	_, err = g.WriteAt([]byte("x"), 0)
	say("write by another handle", err)
	_, err = f.WriteAt([]byte("x"), 0)
	say("write by its own", err)
	say("sync", f.Sync())
	say("close", f.Close())
	say("lock by another handle after a close", ofd(g, unix.F_WRLCK, 0, 0))
	say("close", g.Close())
	d, err := os.Open(dir)
	say("open the directory", err)
	say("sync the directory", d.Sync())
	say("close", d.Close())
	return said
}

// probeDir has the test binary print what probe says, where no test can run.
const probeDir = "AZUREFILES_TEST_PROBE"

// TestProbe: what our share says. TestSMB compares it with the real thing.
func TestProbe(t *testing.T) {
	s := newScene(t, Options{})
	_, at := s.mount(MountOptions{Client: "a"})
	t.Log("\n" + strings.Join(probe(at), "\n"))
}
