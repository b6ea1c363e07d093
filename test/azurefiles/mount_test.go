package azurefiles

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// TestOverItself: a share mounted over its own directory stands where a plain
// directory stood, one client after the other, and at no moment is there none.
// What holds on to an old client, as a container does, never meets the new one.
func TestOverItself(t *testing.T) {
	s := newScene(t, Options{})
	s.must(os.WriteFile(filepath.Join(s.dir, "before"), []byte("1"), 0o644))
	first, err := s.Mount(s.dir, MountOptions{Client: "first"})
	s.must(err)
	defer first.Kill()
	container := t.TempDir()
	s.must(unix.Mount(s.dir, container, "", unix.MS_BIND, ""))
	defer unix.Unmount(container, unix.MNT_DETACH)
	f := s.open(container, "before", os.O_RDWR)
	s.write(f, "2", 0)
	s.must(f.Sync())

	first.Freeze()
	s.must(first.Detach())
	second, err := s.Mount(s.dir, MountOptions{Client: "second"})
	s.must(err)
	defer second.Kill()
	first.Thaw()
	s.write(f, "lost", 0)
	s.must(first.Kill())
	_, err = f.WriteAt([]byte("x"), 0)
	s.want("write through the first", err, unix.ENOTCONN)
	_, err = os.Open(filepath.Join(container, "before"))
	s.want("open through the first", err, unix.ENOTCONN)
	if got, err := os.ReadFile(filepath.Join(s.dir, "before")); err != nil || string(got) != "2" {
		t.Errorf("the second client reads %q, %v", got, err)
	}
	s.must(second.Unmount())
	s.wantDurable("before", "2")

	third, err := s.Mount(s.dir, MountOptions{Client: "third"})
	s.must(err)
	s.must(third.Detach()) // nobody has it any more
	s.must(third.Kill())
}

// TestMappedOwners: container groups have their users in a namespace of their
// own, and the share mounted with owners to suit.
func TestMappedOwners(t *testing.T) {
	const first = 400000
	s := newScene(t, Options{})
	_, at := s.mount(MountOptions{Client: "group"})
	dir := t.TempDir()
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) { // others than root shall get there
		s.must(os.Chmod(d, 0o755))
	}
	namespace, err := mount.GetUsernsFD("0:400000:65536", "0:400000:65536")
	s.must(err)
	defer namespace.Close()
	if err := mount.IDMapMount(at, dir, int(namespace.Fd())); err != nil {
		t.Skipf("NOT TESTED: this kernel maps no owners: %v", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	ids := []syscall.SysProcIDMap{{HostID: first, Size: 65536}}
	cmd := exec.Command("sh", "-c", `echo "$(id -u)" >file && chmod 600 file && mkdir dir && mv file dir/ && cat dir/file && stat -c %u dir/file`)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, Credential: &syscall.Credential{},
	}
	out, err := cmd.CombinedOutput()
	if got := strings.Fields(string(out)); err != nil || len(got) != 2 || got[0] != "0" || got[1] != "0" {
		t.Errorf("root of the group: %v, %s", err, out)
	}
	s.wantDurable("dir/file", "0\n")
}
