package groups

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/cgroups/v3"
	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/containerd/cgroups/v3/cgroup2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const (
	// cpuPeriod is the length of a scheduling period, in microseconds.
	cpuPeriod = 100_000
	// minQuota is the least CPU time in a period that the kernel takes, likewise.
	minQuota = 1000
	// pidsLimit is how many threads a group may have.
	pidsLimit = 8192
	// gigabyte is the unit of memoryInGB, in bytes.
	gigabyte = 1 << 30
	// emptyWait is how long processes that were killed have to be gone, and
	// emptyPause the time between two looks.
	emptyWait  = 3 * time.Second
	emptyPause = 2 * time.Millisecond
	// mountpoint is where cgroups are mounted.
	mountpoint = "/sys/fs/cgroup"
)

// Cgroups makes the control groups by which a group cannot use more than it
// asked for.
type Cgroups interface {
	// Create makes a group's own and returns its path, as containers name it.
	Create(uid string, cpu, memoryInGB float64) (path string, err error)
	// Kill ends every process of one of its containers at once.
	Kill(uid, container string) error
	// Delete removes it, with what still runs in it; what is absent is no error.
	Delete(uid string) error
	// Close removes the cloud's own, and what is left in it.
	Close() error
}

// NewCgroups returns control groups below parent, such as "/frankenetes-01234567".
func NewCgroups(parent string) Cgroups {
	return hostCgroups{parent: parent, unified: cgroups.Mode() == cgroups.Unified}
}

type hostCgroups struct {
	parent  string
	unified bool
}

func (h hostCgroups) Create(uid string, cpu, memoryInGB float64) (string, error) {
	path := filepath.Join(h.parent, uid)
	quota, period, memory, pids := max(int64(math.Ceil(cpu*cpuPeriod)), minQuota), uint64(cpuPeriod), int64(memoryInGB*gigabyte), int64(pidsLimit)
	var err error
	if h.unified {
		resources := &cgroup2.Resources{
			CPU:    &cgroup2.CPU{Max: cgroup2.NewCPUMax(&quota, &period)},
			Memory: &cgroup2.Memory{Max: &memory},
			Pids:   &cgroup2.Pids{Max: pids},
		}
		if known, _ := os.ReadFile(filepath.Join(mountpoint, "cgroup.controllers")); slices.Contains(strings.Fields(string(known)), "hugetlb") {
			resources.HugeTlb = &cgroup2.HugeTlb{} // makes the files that deny fills
		}
		_, err = cgroup2.NewManager(mountpoint, path, resources)
	} else {
		_, err = cgroup1.New(cgroup1.StaticPath(path), &specs.LinuxResources{
			CPU:    &specs.LinuxCPU{Quota: &quota, Period: &period},
			Memory: &specs.LinuxMemory{Limit: &memory},
			Pids:   &specs.LinuxPids{Limit: &pids},
		})
	}
	if err == nil {
		err = h.deny(path, memory)
	}
	if err != nil {
		return "", fmt.Errorf("make control group %s: %w", path, err)
	}
	return path, nil
}

// deny keeps a group from memory beyond its own: swap, so that its limit is
// one, and huge pages, which no other limit counts and which the host has set
// aside for someone. Not every kernel has the files for that.
func (h hostCgroups) deny(path string, memory int64) error {
	limits := map[string]string{
		filepath.Join(mountpoint, "memory", path, "memory.memsw.limit_in_bytes"): strconv.FormatInt(memory, 10), // both together
		filepath.Join(mountpoint, "hugetlb", path, "hugetlb.*.limit_in_bytes"):   "0",
	}
	if h.unified {
		limits = map[string]string{
			filepath.Join(mountpoint, path, "memory.swap.max"): "0",
			filepath.Join(mountpoint, path, "hugetlb.*.max"):   "0",
		}
	}
	for pattern, limit := range limits {
		files, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := os.WriteFile(file, []byte(limit), 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// Kill uses the kernel's own switch for a whole tree of control groups, which
// nothing can fork away from. It is in the unified hierarchy, which hosts with
// the old ones have too; without it, processes are killed one by one.
func (h hostCgroups) Kill(uid, container string) error {
	return kill(filepath.Join(h.parent, uid, container))
}

func kill(path string) error {
	for _, root := range []string{mountpoint, filepath.Join(mountpoint, "unified")} {
		err := os.WriteFile(filepath.Join(root, path, "cgroup.kill"), []byte("1"), 0)
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("kill control group %s: %w", path, err)
		}
	}
	return killEach(filepath.Join(mountpoint, "pids", path))
}

// killEach kills the processes of the control groups below root.
func killEach(root string) error {
	dirs, err := tree(root)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("list processes: %w", err)
		}
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
	return nil
}

func (h hostCgroups) Delete(uid string) error { return h.remove(filepath.Join(h.parent, uid)) }

func (h hostCgroups) Close() error { return h.remove(h.parent) }

// remove removes a control group and those in it, in every hierarchy. A
// process that was killed a moment ago may still be on its way out.
func (h hostCgroups) remove(path string) error {
	err := h.tryRemove(path)
	if err == nil {
		return nil
	}
	if err := kill(path); err != nil {
		return err
	}
	for until := time.Now().Add(emptyWait); err != nil && time.Now().Before(until); {
		time.Sleep(emptyPause)
		err = h.tryRemove(path)
	}
	return err
}

func (h hostCgroups) tryRemove(path string) error {
	roots := []string{mountpoint}
	if !h.unified {
		entries, err := os.ReadDir(mountpoint)
		if err != nil {
			return fmt.Errorf("list control groups: %w", err)
		}
		roots = roots[:0]
		for _, e := range entries {
			roots = append(roots, filepath.Join(mountpoint, e.Name()))
		}
	}
	for _, root := range roots {
		if err := removeTree(filepath.Join(root, path)); err != nil {
			return err
		}
	}
	return nil
}

// removeTree removes directories, deepest first; the files in them are the
// kernel's.
func removeTree(root string) error {
	dirs, err := tree(root)
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove control group %s: %w", strings.TrimPrefix(dir, mountpoint), err)
		}
	}
	return nil
}

// tree returns a directory and all below it, parents first.
func tree(root string) ([]string, error) {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list control group: %w", err)
	}
	return dirs, nil
}
