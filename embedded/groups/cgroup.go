package groups

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/cgroups/v3"
	"github.com/containerd/cgroups/v3/cgroup1"
	"github.com/containerd/cgroups/v3/cgroup2"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const (
	// cpuPeriod is the length of a scheduling period, in microseconds.
	cpuPeriod = 100_000
	// pidsLimit is how many threads a group may have.
	pidsLimit = 8192
	// gigabyte is the unit of memoryInGB, in bytes.
	gigabyte = 1 << 30
	// mountpoint is where cgroups are mounted.
	mountpoint = "/sys/fs/cgroup"
)

// Cgroups makes the control groups by which a group cannot use more than it
// asked for.
type Cgroups interface {
	// Create makes a group's own and returns its path, as containers name it.
	Create(uid string, cpu, memoryInGB float64) (path string, err error)
	// Delete removes it; what is absent is no error.
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
	quota, period, memory, pids := int64(math.Ceil(cpu*cpuPeriod)), uint64(cpuPeriod), int64(memoryInGB*gigabyte), int64(pidsLimit)
	var err error
	if h.unified {
		_, err = cgroup2.NewManager(mountpoint, path, &cgroup2.Resources{
			CPU:    &cgroup2.CPU{Max: cgroup2.NewCPUMax(&quota, &period)},
			Memory: &cgroup2.Memory{Max: &memory},
			Pids:   &cgroup2.Pids{Max: pids},
		})
	} else {
		_, err = cgroup1.New(cgroup1.StaticPath(path), &specs.LinuxResources{
			CPU:    &specs.LinuxCPU{Quota: &quota, Period: &period},
			Memory: &specs.LinuxMemory{Limit: &memory},
			Pids:   &specs.LinuxPids{Limit: &pids},
		})
	}
	if err != nil {
		return "", fmt.Errorf("make control group %s: %w", path, err)
	}
	return path, nil
}

func (h hostCgroups) Delete(uid string) error { return h.remove(filepath.Join(h.parent, uid)) }

func (h hostCgroups) Close() error { return h.remove(h.parent) }

// remove removes a control group and those in it, in every hierarchy.
func (h hostCgroups) remove(path string) error {
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
	var errs []error
	for _, root := range roots {
		errs = append(errs, removeTree(filepath.Join(root, path)))
	}
	return errors.Join(errs...)
}

// removeTree removes directories, deepest first; the files in them are the
// kernel's.
func removeTree(root string) error {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("list control group: %w", err)
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := os.Remove(dirs[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove control group %s: %w", strings.TrimPrefix(dirs[i], mountpoint), err)
		}
	}
	return nil
}
