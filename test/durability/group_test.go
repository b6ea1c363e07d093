package durability

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"frankenetes.dev/test/azurefiles"
)

// group is a container group of etcd's: a machine that has the share mounted, on
// which the launcher runs. The machine starts it again when it fails.
type group struct {
	world                     *world
	start                     int
	address, peer, log, mount string
	client                    *azurefiles.Client
	etcd                      *clientv3.Client
	over                      chan struct{} // closed when nothing runs any more, for good

	mu      sync.Mutex
	process *os.Process // the launcher
	ended   bool        // nothing is to be started any more
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// command is what runs in the group.
func (g *group) command(initialized bool) []string {
	etcd := append([]string{filepath.Join(g.world.bin, "hyperkube"), "etcd", "--name=etcd",
		"--listen-client-urls=http://" + g.address, "--advertise-client-urls=http://" + g.address,
		"--listen-peer-urls=http://" + g.peer, "--initial-advertise-peer-urls=http://" + g.peer, "--initial-cluster=etcd=http://" + g.peer,
		"--heartbeat-interval=50", "--election-timeout=250", "--log-level=warn"}, g.world.kind.flags...)
	if g.world.kind.snapshots {
		return append(etcd, "--data-dir="+g.local())
	}
	if g.world.kind.unfenced {
		return append(etcd, "--data-dir="+filepath.Join(g.mount, "data"))
	}
	return append([]string{filepath.Join(g.world.bin, "etcd-launcher"), "--share=" + g.mount, "--share-config=" + g.world.config,
		"--start=" + strconv.Itoa(g.start), "--nonce=n" + strconv.Itoa(g.start), "--initialized=" + strconv.FormatBool(initialized), "--"}, etcd...)
}

// keepRunning runs the group's container, again and again until it ends with
// success or the group does.
func (g *group) keepRunning() {
	defer close(g.over)
	if g.world.kind.snapshots {
		if err := g.restore(); err != nil {
			g.world.t.Errorf("restore group %d: %v", g.start, err)
		}
	}
	for g.runOnce() {
		time.Sleep(100 * time.Millisecond) // as a cloud does, and longer
	}
}

func (g *group) runOnce() (again bool) {
	log, err := os.OpenFile(g.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return false
	}
	defer log.Close()
	g.world.mu.Lock()
	args := g.command(g.world.initialized)
	g.world.mu.Unlock()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g.mu.Lock()
	if g.ended {
		g.mu.Unlock()
		return false
	}
	if err := cmd.Start(); err != nil {
		g.mu.Unlock()
		fmt.Fprintln(log, err)
		return false
	}
	g.process = cmd.Process
	g.mu.Unlock()
	err = cmd.Wait()
	fmt.Fprintf(log, "the container has ended: %v\n", cmd.ProcessState)
	return err != nil
}

// signal sends a signal to all processes of the container.
func (g *group) signal(s syscall.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process != nil {
		_ = syscall.Kill(-g.process.Pid, s)
	}
}

// killLauncher kills the first process; the kernel ends etcd with it.
func (g *group) killLauncher() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process != nil {
		_ = g.process.Kill()
	}
}

// killEtcd kills the launcher's child.
func (g *group) killEtcd() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process == nil {
		return
	}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", g.process.Pid))
	for _, list := range lists {
		data, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// forbid has nothing started any more, and reports whether anything was.
func (g *group) forbid() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
}

// powerCut ends the machine at once: what it had not written to the share is
// lost, and its handles stay.
func (g *group) powerCut() {
	g.forbid()
	if err := g.client.Kill(); err != nil {
		g.world.t.Errorf("group %d: %v", g.start, err)
	}
	g.signal(syscall.SIGKILL)
	<-g.over
	_ = g.etcd.Close()
}

// end ends etcd as a pause does, and the group with it.
func (g *group) end() {
	g.forbid()
	g.mu.Lock()
	process := g.process
	g.mu.Unlock()
	if process != nil {
		_ = process.Signal(syscall.SIGTERM)
	}
	<-g.over
}

// freeze stops the whole machine; thaw lets it go on as if nothing had been.
func (g *group) freeze() {
	g.client.Freeze()
	g.signal(syscall.SIGSTOP)
}

func (g *group) thaw() {
	g.client.Thaw()
	g.signal(syscall.SIGCONT)
}

// says is the end of what the group has printed.
func (g *group) says() string {
	data, err := os.ReadFile(g.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
