package azurefiles

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// lab is the real thing: samba, as strict as Windows, in a chroot that hack/smb
// has made, and guests whose Linux mounts its share by cifs as ACI does.
type lab struct {
	t      *testing.T
	root   string // the chroot
	dir    string // the share, in it
	port   string
	config string
	smbd   *exec.Cmd
}

// newLab starts samba for a test.
func newLab(t *testing.T) *lab {
	t.Helper()
	root := os.Getenv("FRANKENETES_SMB")
	if root == "" {
		t.Skip("NOT TESTED: only make test-smb has a real SMB share")
	}
	work, err := os.MkdirTemp(filepath.Join(root, "srv"), "samba-")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(freeAddress(t), ":")
	l := &lab{t: t, root: root, dir: filepath.Join(work, "share"), port: port}
	in := strings.TrimPrefix(work, root)
	for _, dir := range []string{"share", "state"} {
		l.must(os.Mkdir(filepath.Join(work, dir), 0o777))
	}
	l.must(os.WriteFile(filepath.Join(work, "smb.conf"), fmt.Appendf(nil, `[global]
server role = standalone server
smb ports = %[2]s
interfaces = 127.0.0.1
bind interfaces only = yes
disable netbios = yes
load printers = no
private dir = %[1]s/state
lock directory = %[1]s/state
state directory = %[1]s/state
cache directory = %[1]s/state
pid directory = %[1]s/state
ncalrpc dir = %[1]s/state/rpc
log file = %[1]s/log
server min protocol = SMB3_00
strict rename = yes
strict sync = yes
strict locking = yes
kernel oplocks = no
kernel share modes = no
posix locking = no
durable handles = yes
[share]
path = %[1]s/share
read only = no
force user = root
create mask = 0777
directory mask = 0777
`, in, port), 0o644))
	out, err := l.inside("sh", "-c", `printf 'guest\nguest\n' | smbpasswd -c `+in+`/smb.conf -s -a root`).CombinedOutput()
	if err != nil {
		t.Fatalf("make a user of samba: %v\n%s", err, out)
	}
	l.config = in + "/smb.conf"
	l.serve()
	t.Cleanup(func() {
		l.stop()
		if err := os.RemoveAll(work); err != nil {
			t.Error(err)
		}
	})
	return l
}

// serve starts samba.
func (l *lab) serve() {
	l.t.Helper()
	l.smbd = l.inside("smbd", "--foreground", "--no-process-group", "--configfile="+l.config)
	l.must(l.smbd.Start())
}

// stop kills samba, and with it all handles that it has open.
func (l *lab) stop() {
	_ = l.smbd.Process.Kill()
	_ = l.smbd.Wait()
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// inside is a command in the chroot, which with all that it starts ends when it
// is killed. It is in a process group of its own, so that it can be stopped.
func (l *lab) inside(args ...string) *exec.Cmd {
	script := `mount --bind /dev "$0/dev" && mount -t proc proc "$0/proc" && exec chroot "$0" "$@"`
	cmd := exec.Command("unshare", append([]string{"--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script, l.root}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// guestPatience is how long a guest may take, whose every instruction is
// emulated.
const guestPatience = 6 * time.Minute

// guest starts a guest, which runs a script in which /mnt is the share. If that
// starts an etcd, it can be reached. To kill it is to cut its power.
func (l *lab) guest(script string) *etcd {
	l.t.Helper()
	l.must(os.WriteFile(filepath.Join(l.dir, "run.sh"), []byte(script), 0o644))
	address := freeAddress(l.t)
	e := &etcd{t: l.t, patience: guestPatience, url: "http://" + address}
	e.start(l.inside("qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "2048", "-smp", "2",
		"-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
		"-kernel", "/guest-kernel", "-initrd", "/guest-initramfs", "-append", "console=ttyS0 quiet panic=-1 smbport="+l.port,
		"-netdev", "user,id=net,hostfwd=tcp:"+address+"-:2379", "-device", "virtio-net-pci,netdev=net,romfile="))
	return e
}

// etcd starts a guest with an etcd.
func (l *lab) etcd(flags ...string) *etcd {
	l.t.Helper()
	return l.guest("hyperkube etcd --name=etcd --listen-client-urls=http://0.0.0.0:2379 --advertise-client-urls=http://10.0.2.15:2379 " +
		"--listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380 --initial-cluster=etcd=http://127.0.0.1:2380 " +
		strings.Join(flags, " ") + " 2>&1\n")
}

// TestSMBProbe: our share says of every rule what the real thing says.
func TestSMBProbe(t *testing.T) {
	s := newScene(t, Options{})
	_, at := s.mount(MountOptions{Client: "ours"})
	l := newLab(t)
	e := l.guest("echo PROBE; mkdir /mnt/probe; " + probeDir + "=/mnt/probe azurefiles.test; echo PROBED\n")
	select {
	case <-e.ended:
	case <-time.After(e.patience):
		e.fail("the guest does not end")
	}
	data, err := os.ReadFile(e.log)
	l.must(err)
	text := strings.ReplaceAll(string(data), "\r", "")
	_, text, found := strings.Cut(text, "PROBE\n")
	text, _, ended := strings.Cut(text, "PROBED\n")
	if !found || !ended {
		t.Fatalf("the guest says: %s", data)
	}
	real, ours := strings.Split(strings.TrimSpace(text), "\n"), probe(at)
	for _, said := range [][]string{real, ours} {
		for i, line := range said {
			// Azure Files has no hard links, samba has; and of what to keep the
			// size means cifs thinks nothing at all.
			if strings.HasPrefix(line, "link: ") || strings.HasPrefix(line, "fallocate that keeps") {
				said[i] = "ours is stricter"
			}
		}
	}
	if diff := cmp.Diff(real, ours); diff != "" {
		t.Errorf("the real share (-) and ours (+) differ:\n%s", diff)
	}
}

// TestSMBEtcd is TestEtcd with the real thing.
func TestSMBEtcd(t *testing.T) {
	for _, each := range layouts {
		t.Run(each.name, func(t *testing.T) {
			random := seeded(t)
			l := newLab(t)
			keys := map[string]bool{}
			for round := range 3 {
				e := l.etcd(each.flags("/mnt", "/tmp/etcd")...)
				e.mustCome()
				if n := e.lost(keys); n > 0 {
					t.Fatalf("%d of %d acknowledged writes are lost in round %d", n, len(keys), round)
				}
				for key := range e.acknowledged(1+random.Int64N(60), e.kill) {
					keys[key] = true
				}
			}
			t.Logf("%d writes were acknowledged, none is lost", len(keys))
		})
	}
}

// TestSMBEtcdUnsafe is the control.
func TestSMBEtcdUnsafe(t *testing.T) {
	l := newLab(t)
	flags := layouts[0].flags("/mnt", "")
	e := l.etcd(flags...)
	e.mustCome()
	e.acknowledged(10, e.kill)
	e = l.etcd(append(flags, "--unsafe-no-fsync")...)
	e.mustCome()
	keys := e.acknowledged(50, e.kill)
	e = l.etcd(flags...)
	if e.come() {
		lost := e.lost(keys)
		t.Logf("%d of %d acknowledged writes are lost", lost, len(keys))
		if lost == 0 {
			t.Error("nothing is lost without syncs")
		}
	}
}

// TestSMBFence is TestEtcdFence with the real thing, where handles are closed
// by a restart of the server: cifs opens by their paths what was closed so. What
// happens without the fence is only told: it was not always the same.
func TestSMBFence(t *testing.T) {
	for name, fence := range map[string]bool{"fenced": true, "not fenced": false} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			first := l.etcd("--data-dir=/mnt/epoch-1")
			first.mustCome()
			keys := map[string]bool{"http-1": true, "http-2": true}
			l.must(first.put(t.Context(), "http-1"))
			l.must(unix.Kill(-first.cmd.Process.Pid, unix.SIGSTOP))
			epoch := "/epoch-1"
			if fence {
				l.stop()
				l.must(os.Rename(l.dir+epoch, l.dir+"/epoch-2"))
				epoch = "/epoch-2"
				l.serve()
			}
			second := l.etcd("--data-dir=/mnt" + epoch)
			second.mustCome()
			l.must(second.put(t.Context(), "http-2"))
			l.must(unix.Kill(-first.cmd.Process.Pid, unix.SIGCONT))
			late := first.put(t.Context(), "http-late")
			if fence && late == nil {
				t.Error("a write was acknowledged after the take-over")
			}
			keys["http-late"] = late == nil
			first.kill()
			second.kill()
			third := l.etcd("--data-dir=/mnt" + epoch)
			came := third.come()
			kept := came && third.lost(keys) == 0
			if fence && !kept {
				t.Error("something that was acknowledged is lost")
			}
			t.Logf("the write after the take-over: %v; the next etcd starts: %v; all is there: %v", late, came, kept)
		})
	}
}
