// Package machine is the machine that a node does not have, as the kubelet wants
// to see one: its size and usage, its mounts. It exists because the kubelet
// asks, and because what it is told shows in the Node object and in statistics,
// so that it had better be true.
package machine

import (
	"context"
	"fmt"
	goruntime "runtime"
	"time"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	cadvisorapiv2 "github.com/google/cadvisor/info/v2"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"frankenetes.dev/node/runtime"
)

// usageTimeout bounds the wait for the pods' agents.
const usageTimeout = 5 * time.Second

// Size is what a machine is to look like.
type Size struct {
	// Name is the node's.
	Name string
	CPUs int
	// Memory is in bytes.
	Memory uint64
}

// Machine is of a given size, and used by what the pods use together. Its file
// system is the one of the kubelet's directory. It implements the kubelet's
// cadvisor.Interface.
type Machine struct {
	size    Size
	rootDir string
	usage   func(context.Context) runtime.Used
	// boot is new with every start, as a machine's boot ID is.
	boot    string
	started time.Time
}

// New returns a machine; usage tells what all its pods use.
func New(size Size, rootDir string, usage func(context.Context) runtime.Used) *Machine {
	return &Machine{size: size, rootDir: rootDir, usage: usage, boot: uuid.NewString(), started: time.Now()}
}

// Start does nothing.
func (m *Machine) Start() error { return nil }

// MachineInfo returns the size that the node shows.
func (m *Machine) MachineInfo() (*cadvisorapi.MachineInfo, error) {
	return &cadvisorapi.MachineInfo{
		Timestamp: time.Now(), NumCores: m.size.CPUs, NumPhysicalCores: m.size.CPUs, NumSockets: 1, MemoryCapacity: m.size.Memory,
		MachineID: m.size.Name, SystemUUID: m.size.Name, BootID: m.boot,
	}, nil
}

// VersionInfo returns the kernel under the node's own group, which may not be
// that under a pod's.
func (m *Machine) VersionInfo() (*cadvisorapi.VersionInfo, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("read kernel version: %w", err)
	}
	return &cadvisorapi.VersionInfo{
		KernelVersion: unix.ByteSliceToString(uts.Release[:]), ContainerOsVersion: "Container groups (" + goruntime.GOOS + ")"}, nil
}

// ContainerInfoV2 returns what the node uses as a whole; cgroups within it are
// the cloud's affair.
func (m *Machine) ContainerInfoV2(name string, _ cadvisorapiv2.RequestOptions) (map[string]cadvisorapiv2.ContainerInfo, error) {
	if name != "/" && name != "" {
		return nil, fmt.Errorf("read usage of cgroup %q: the node has none", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), usageTimeout)
	defer cancel()
	used := m.usage(ctx)
	return map[string]cadvisorapiv2.ContainerInfo{name: {
		Spec: cadvisorapiv2.ContainerSpec{
			CreationTime: m.started, HasCpu: true, HasMemory: true, Memory: cadvisorapiv2.MemorySpec{Limit: m.size.Memory}},
		Stats: []*cadvisorapiv2.ContainerStats{{
			Timestamp: used.Time,
			Cpu:       &cadvisorapi.CpuStats{Usage: cadvisorapi.CpuUsage{Total: used.CPUNanoseconds}},
			CpuInst:   &cadvisorapiv2.CpuInstStats{Usage: cadvisorapiv2.CpuInstUsage{Total: used.NanoCores}},
			Memory: &cadvisorapi.MemoryStats{Usage: used.MemoryBytes, WorkingSet: used.WorkingSetBytes, RSS: used.RSSBytes,
				ContainerData: cadvisorapi.MemoryStatsMemoryData{Pgfault: used.PageFaults, Pgmajfault: used.MajorPageFaults}},
		}},
	}}, nil
}

// GetRequestedContainersInfo returns nothing: there are no cgroups to look into.
func (m *Machine) GetRequestedContainersInfo(string, cadvisorapiv2.RequestOptions) (map[string]*cadvisorapi.ContainerInfo, error) {
	return map[string]*cadvisorapi.ContainerInfo{}, nil
}

// ImagesFsInfo returns the file system of the kubelet's directory.
func (m *Machine) ImagesFsInfo(context.Context) (cadvisorapiv2.FsInfo, error) {
	return m.GetDirFsInfo(m.rootDir)
}

// RootFsInfo returns the file system of the kubelet's directory.
func (m *Machine) RootFsInfo() (cadvisorapiv2.FsInfo, error) { return m.GetDirFsInfo(m.rootDir) }

// ContainerFsInfo returns the file system of the kubelet's directory.
func (m *Machine) ContainerFsInfo(context.Context) (cadvisorapiv2.FsInfo, error) {
	return m.GetDirFsInfo(m.rootDir)
}

// GetDirFsInfo returns the file system that a directory is on.
func (m *Machine) GetDirFsInfo(path string) (cadvisorapiv2.FsInfo, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return cadvisorapiv2.FsInfo{}, fmt.Errorf("read file system of %s: %w", path, err)
	}
	block := uint64(s.Bsize)
	return cadvisorapiv2.FsInfo{
		Timestamp: time.Now(), Device: fmt.Sprintf("%x", s.Fsid.Val), Mountpoint: path,
		Capacity: s.Blocks * block, Available: s.Bavail * block, Usage: (s.Blocks - s.Bfree) * block,
		Inodes: &s.Files, InodesFree: &s.Ffree,
	}, nil
}
