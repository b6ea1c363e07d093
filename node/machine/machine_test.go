package machine_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	cadvisorapiv2 "github.com/google/cadvisor/info/v2"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/machine"
	"frankenetes.dev/node/runtime"
)

func TestAMachineOfTheGivenSizeUsedByThePods(t *testing.T) {
	at := time.Now()
	m := machine.New(machine.Size{Name: "vk", CPUs: 3, Memory: 5 << 30}, t.TempDir(), func(context.Context) runtime.Used {
		return runtime.Used{Usage: protocol.Usage{Time: at, CPUNanoseconds: 7, MemoryBytes: 9, WorkingSetBytes: 8}, NanoCores: 6, Rated: true}
	})
	info, err := m.MachineInfo()
	if err != nil || info.NumCores != 3 || info.MemoryCapacity != 5<<30 || info.BootID == "" {
		t.Errorf("MachineInfo = %+v, %v", info, err)
	}
	another := machine.New(machine.Size{}, "/", nil)
	if other, _ := another.MachineInfo(); other.BootID == info.BootID {
		t.Error("two starts have one boot ID")
	}
	use, err := m.ContainerInfoV2("/", cadvisorapiv2.RequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stats := use["/"].Stats[0]
	if stats.Cpu.Usage.Total != 7 || stats.CpuInst.Usage.Total != 6 || stats.Memory.Usage != 9 || stats.Memory.WorkingSet != 8 || !stats.Timestamp.Equal(at) {
		t.Errorf("the usage is %+v", stats)
	}
	if _, err := m.ContainerInfoV2("/kubepods", cadvisorapiv2.RequestOptions{}); err == nil {
		t.Error("there is a cgroup of pods")
	}
	disk, err := m.RootFsInfo()
	if err != nil || disk.Capacity == 0 || disk.Available > disk.Capacity || disk.Inodes == nil {
		t.Errorf("RootFsInfo = %+v, %v", disk, err)
	}
	if v, err := m.VersionInfo(); err != nil || v.KernelVersion == "" {
		t.Errorf("VersionInfo = %+v, %v", v, err)
	}
}

func TestMountsAreRemembered(t *testing.T) {
	m := machine.NewMounts()
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if mounted, err := m.IsMountPoint(dir); err != nil || mounted {
		t.Errorf("before: %v, %v", mounted, err)
	}
	if err := m.Mount("tmpfs", link, "tmpfs", nil); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, link} {
		if not, err := m.IsLikelyNotMountPoint(path); err != nil || not {
			t.Errorf("%s is not mounted: %v, %v", path, not, err)
		}
	}
	if list, _ := m.List(); len(list) != 1 || list[0].Type != "tmpfs" {
		t.Errorf("List = %v", list)
	}
	if err := m.Unmount(dir); err != nil {
		t.Fatal(err)
	}
	if list, _ := m.List(); len(list) != 0 {
		t.Errorf("after Unmount: %v", list)
	}
	if _, err := m.IsMountPoint(filepath.Join(dir, "no such")); !os.IsNotExist(err) {
		t.Errorf("a path that is not there: %v", err)
	}
}
