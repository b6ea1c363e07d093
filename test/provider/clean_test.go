package baremetal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/test/machine"
)

// end takes the bed down. What pods have left, as they do when a test fails half
// way, is removed here.
func (b *bed) end() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if b.runtime != nil {
		for _, s := range b.sandboxes(ctx) {
			b.t.Errorf("sandbox %s is left over", s.Metadata.Name)
			_, stopped := b.runtime.CRI().StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: s.Id})
			_, removed := b.runtime.CRI().RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: s.Id})
			if err := errors.Join(stopped, removed); err != nil {
				b.t.Error(err)
			}
		}
		if err := b.runtime.Stop(ctx); err != nil {
			b.t.Error(err)
		}
		if b.t.Failed() {
			b.t.Logf("containerd's log:\n%s", tail(filepath.Join(b.dir, "containerd", "containerd.log"), 40))
		}
	}
	b.endProcesses()
	for _, dir := range []string{b.dir, b.state} {
		for _, at := range mountsBelow(b.t, dir) {
			b.t.Errorf("%s is still mounted", at)
			_ = unix.Unmount(at, unix.MNT_DETACH)
		}
	}
	if link, err := netlink.LinkByName(b.bridge); err == nil {
		if err := netlink.LinkDel(link); err != nil {
			b.t.Error(err)
		}
	}
	b.removeCgroups()
	if err := os.RemoveAll(b.state); err != nil {
		b.t.Error(err)
	}
}

// endProcesses kills what still runs for the bed: there should be nothing.
func (b *bed) endProcesses() {
	b.t.Helper()
	pids := slices.Concat(pidsWith(b.t, b.dir), pidsWith(b.t, b.state))
	for _, root := range runtimeCgroups() {
		if b.cgroups[root] {
			continue // somebody else's
		}
		_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Name() == "cgroup.procs" {
				pids = append(pids, pidsIn(path)...)
			}
			return nil
		})
	}
	slices.Sort(pids)
	for _, pid := range slices.Compact(pids) {
		b.t.Errorf("process %d is left over", pid)
		if err := machine.Kill(pid); err != nil {
			b.t.Error(err)
		}
	}
}

// removeCgroups removes those that the runtime has made, deepest first.
func (b *bed) removeCgroups() {
	b.t.Helper()
	for _, root := range runtimeCgroups() {
		if b.cgroups[root] {
			continue // somebody else's
		}
		var dirs []string
		_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			if err := os.Remove(dir); err != nil {
				b.t.Errorf("a cgroup is left over: %v", err)
			}
		}
	}
}

// runtimeCgroups are those below which containerd puts containers.
func runtimeCgroups() []string {
	all, _ := filepath.Glob("/sys/fs/cgroup/k8s.io")
	more, _ := filepath.Glob("/sys/fs/cgroup/*/k8s.io")
	return append(all, more...)
}

// mountsBelow returns where something is mounted below a directory.
func mountsBelow(t *testing.T, dir string) []string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(data)) {
		if at := strings.Fields(line)[4]; strings.HasPrefix(at, dir) {
			found = append(found, at)
		}
	}
	return found
}

// pidsWith returns the processes that have a text on their command lines.
func pidsWith(t *testing.T, text string) []int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), text) { // processes come and go
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

// pidsIn returns the processes of a cgroup.
func pidsIn(procs string) []int {
	data, _ := os.ReadFile(procs)
	var pids []int
	for word := range strings.FieldsSeq(string(data)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(string(data), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
