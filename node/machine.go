package node

import (
	"context"
	"fmt"
	goruntime "runtime"
	"time"

	cadvisorapi "github.com/google/cadvisor/info/v1"
	cadvisorapiv2 "github.com/google/cadvisor/info/v2"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor"

	"frankenetes.dev/agent/protocol"
)

// usageTimeout bounds the wait for the pods' agents.
const usageTimeout = 5 * time.Second

// machine is the machine that the node does not have, as the kubelet wants to
// see one: of the configured size, used by what the pods use together. Its file
// system is the one of the kubelet's directory.
type machine struct {
	name    string
	cpus    int
	memory  uint64
	rootDir string
	// boot is new with every start, as a machine's boot ID is.
	boot    string
	started time.Time
	usage   interface {
		Usage(context.Context) protocol.Usage
	}
}

var _ cadvisor.Interface = (*machine)(nil)

func newMachine(c Config, usage interface {
	Usage(context.Context) protocol.Usage
}) *machine {
	return &machine{name: c.NodeName, cpus: c.CPU, memory: uint64(c.Memory.Value()), rootDir: c.RootDir,
		boot: uuid.NewString(), started: time.Now(), usage: usage}
}

// Start does nothing.
func (m *machine) Start() error { return nil }

// MachineInfo returns the size that the node shows.
func (m *machine) MachineInfo() (*cadvisorapi.MachineInfo, error) {
	return &cadvisorapi.MachineInfo{
		Timestamp: time.Now(), NumCores: m.cpus, NumPhysicalCores: m.cpus, NumSockets: 1, MemoryCapacity: m.memory,
		MachineID: m.name, SystemUUID: m.name, BootID: m.boot,
	}, nil
}

// VersionInfo returns the kernel under the node's own group, which may not be
// that under a pod's.
func (m *machine) VersionInfo() (*cadvisorapi.VersionInfo, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("read kernel version: %w", err)
	}
	return &cadvisorapi.VersionInfo{
		KernelVersion: unix.ByteSliceToString(uts.Release[:]), ContainerOsVersion: "Container groups (" + goruntime.GOOS + ")"}, nil
}

// ContainerInfoV2 returns what the node uses as a whole; cgroups within it are
// the cloud's affair.
func (m *machine) ContainerInfoV2(name string, _ cadvisorapiv2.RequestOptions) (map[string]cadvisorapiv2.ContainerInfo, error) {
	if name != "/" && name != "" {
		return nil, fmt.Errorf("read usage of cgroup %q: the node has none", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), usageTimeout)
	defer cancel()
	used := m.usage.Usage(ctx)
	return map[string]cadvisorapiv2.ContainerInfo{name: {
		Spec: cadvisorapiv2.ContainerSpec{
			CreationTime: m.started, HasCpu: true, HasMemory: true, Memory: cadvisorapiv2.MemorySpec{Limit: m.memory}},
		Stats: []*cadvisorapiv2.ContainerStats{{
			Timestamp: used.Time,
			Cpu:       &cadvisorapi.CpuStats{Usage: cadvisorapi.CpuUsage{Total: used.CPUNanoseconds}},
			Memory:    &cadvisorapi.MemoryStats{Usage: used.MemoryBytes, WorkingSet: used.WorkingSetBytes},
		}},
	}}, nil
}

// GetRequestedContainersInfo returns nothing: there are no cgroups to look into.
func (m *machine) GetRequestedContainersInfo(string, cadvisorapiv2.RequestOptions) (map[string]*cadvisorapi.ContainerInfo, error) {
	return map[string]*cadvisorapi.ContainerInfo{}, nil
}

// ImagesFsInfo returns the file system of the kubelet's directory.
func (m *machine) ImagesFsInfo(context.Context) (cadvisorapiv2.FsInfo, error) {
	return m.GetDirFsInfo(m.rootDir)
}

// RootFsInfo returns the file system of the kubelet's directory.
func (m *machine) RootFsInfo() (cadvisorapiv2.FsInfo, error) { return m.GetDirFsInfo(m.rootDir) }

// ContainerFsInfo returns the file system of the kubelet's directory.
func (m *machine) ContainerFsInfo(context.Context) (cadvisorapiv2.FsInfo, error) {
	return m.GetDirFsInfo(m.rootDir)
}

// GetDirFsInfo returns the file system that a directory is on.
func (m *machine) GetDirFsInfo(path string) (cadvisorapiv2.FsInfo, error) {
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
