package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// switches are files by which one changes, or looks into, the whole host.
func switches() []string {
	return []string{
		"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/hostname", "/proc/sys/kernel/panic",
		"/proc/sys/vm/drop_caches", "/proc/sys/vm/overcommit_memory", "/proc/sys/fs/file-max", "/proc/sys/user/max_user_namespaces",
		"/proc/sysrq-trigger", "/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled",
		"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/cgroup.procs", "/sys/fs/cgroup/memory/release_agent",
		"/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/unified/cgroup.procs", "/sys/fs/cgroup/pids/pids.max",
	}
}

// fileAttempts look for files and devices of the host.
func fileAttempts() []attempt {
	var all []attempt
	for _, file := range switches() {
		all = append(all, attempt{"write " + file, func(target) (string, error) {
			fd, err := unix.Open(file, unix.O_WRONLY|unix.O_CLOEXEC, 0)
			return opened(fd, err)
		}})
	}
	for _, file := range []string{"/proc/kcore", "/dev/mem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/fuse", "/dev/kvm"} {
		all = append(all, attempt{"read " + file, func(target) (string, error) { return readable(file) }})
	}
	return append(all,
		attempt{"addresses of the kernel", kernelAddresses},
		attempt{"control groups, mounted anew", func(target) (string, error) { return controlGroups("cgroup2", "") }},
		attempt{"control groups of old, mounted anew", func(target) (string, error) { return controlGroups("cgroup", "memory") }},
		attempt{"what is hidden by mounts", unhide},
		attempt{"a device node of the host's disk", hostDisk},
		attempt{"a file of the host", hostFile},
		attempt{"files that give power over the host", func(t target) (string, error) {
			for file := range strings.SplitSeq(t.files, ",") {
				if _, err := os.Stat(file); file != "" && err == nil {
					return file, nil
				}
			}
			return "", errors.New("none is there")
		}},
		attempt{"sockets of the container runtime", func(target) (string, error) {
			data, err := os.ReadFile("/proc/net/unix")
			if err != nil {
				return "", err
			}
			if strings.Contains(string(data), "containerd") {
				return "listed", nil
			}
			return "", errors.New("none is listed")
		}},
		attempt{"descriptors that were left open", leakedDescriptors},
	)
}

func readable(file string) (string, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	n, err := f.Read(make([]byte, 64))
	switch {
	case n > 0:
		return fmt.Sprintf("read %d bytes", n), nil
	case errors.Is(err, io.EOF):
		return "", errors.New("empty")
	case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EAGAIN): // devices that want to be asked otherwise
		return "opened", nil
	}
	return "", err
}

// kernelAddresses are zeros for those who must not know them.
func kernelAddresses(target) (string, error) {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if address, _, _ := strings.Cut(lines.Text(), " "); strings.Trim(address, "0") != "" {
			return lines.Text(), nil
		}
	}
	return "", errors.New("all are zero")
}

// controlGroups mounts a hierarchy and looks for something to write to, such
// as the program that the host's kernel runs when a group has become empty.
func controlGroups(kind, options string) (string, error) {
	dir, err := os.MkdirTemp("", "mount")
	if err != nil {
		return "", err
	}
	defer os.Remove(dir)
	if err := unix.Mount("none", dir, kind, 0, options); err != nil {
		return "", err
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	for _, file := range []string{"release_agent", "cgroup.procs", "memory.limit_in_bytes", "memory.max", "cgroup.subtree_control"} {
		fd, err := unix.Open(filepath.Join(dir, file), unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
			return "may write " + file, nil
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "breakout"), 0o755); err == nil {
		return "made one", os.Remove(filepath.Join(dir, "breakout"))
	}
	return "", errors.New("mounted, but nothing can be written")
}

// unhide removes, or changes, the mounts that hide or protect files of /proc
// and /sys.
func unhide(target) (string, error) {
	var last error
	for _, path := range []string{"/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/sys", "/proc/sysrq-trigger", "/sys/firmware", "/sys"} {
		if last = unix.Unmount(path, unix.MNT_DETACH); last == nil {
			return "unmounted " + path, nil
		}
		if !readOnly(path) {
			continue
		}
		last = unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
		if !readOnly(path) {
			return "made " + path + " writable", nil
		}
	}
	return "", last
}

func readOnly(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(path, &s) == nil && s.Flags&unix.ST_RDONLY != 0
}

// hostDisk makes a node for each block device on which something in here is,
// and for the usual ones, and reads from it.
func hostDisk(target) (string, error) {
	devices := []uint64{unix.Mkdev(8, 0), unix.Mkdev(254, 0), unix.Mkdev(253, 0), unix.Mkdev(252, 0), unix.Mkdev(259, 0)}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		major, minor, _ := strings.Cut(strings.Fields(line)[2], ":")
		a, errA := strconv.ParseUint(major, 10, 32)
		b, errB := strconv.ParseUint(minor, 10, 32)
		if errA == nil && errB == nil && a != 0 {
			devices = append(devices, unix.Mkdev(uint32(a), uint32(b)))
		}
	}
	err = nil
	for _, device := range devices {
		node := filepath.Join(os.TempDir(), fmt.Sprint("disk", device))
		_ = os.Remove(node)
		if err = unix.Mknod(node, unix.S_IFBLK|0o600, int(device)); err != nil {
			continue
		}
		var said string
		said, err = readable(node)
		_ = os.Remove(node)
		if err == nil {
			return said, nil
		}
	}
	return "", err
}

// hostFile looks for the marker wherever the host's root might shine through.
func hostFile(t target) (string, error) {
	roots := []string{"", "/proc/1/root", "/proc/1/cwd/../../../../../..", "/proc/self/cwd/../../../../../..", fmt.Sprintf("/proc/%d/root", t.pid)}
	for fd := range 20 {
		roots = append(roots, fmt.Sprintf("/proc/self/fd/%d/../../../../../..", fd), fmt.Sprintf("/proc/1/fd/%d/../../../../../..", fd))
	}
	for _, root := range roots {
		if _, err := os.ReadFile(root + t.marker); err == nil {
			return "found at " + root + t.marker, nil
		}
	}
	return "", fmt.Errorf("not found at any of %d places", len(roots))
}

// leakedDescriptors are those that whoever started us forgot to close.
func leakedDescriptors(target) (string, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil || fd <= 2 {
			continue
		}
		// Go's own (epoll, eventfd, the directory just read) are close-on-exec;
		// what comes through an exec is not.
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC == 0 {
			where, _ := os.Readlink("/proc/self/fd/" + e.Name())
			return fmt.Sprintf("%d is %s", fd, where), nil
		}
	}
	return "", errors.New("none")
}
