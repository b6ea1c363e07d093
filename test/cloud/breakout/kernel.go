package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelAttempts ask the kernel for what only the host's root should get.
func kernelAttempts() []attempt {
	return []attempt{
		{"set the clock", func(target) (string, error) {
			now := unix.NsecToTimespec(time.Now().UnixNano())
			return "set", unix.ClockSettime(unix.CLOCK_REALTIME, &now)
		}},
		{"load a module", func(target) (string, error) {
			_, _, errno := unix.Syscall(unix.SYS_INIT_MODULE, 0, 0, 0)
			return permitted(errno, unix.EPERM, unix.ENOSYS)
		}},
		{"load a kernel to boot", func(target) (string, error) {
			_, _, errno := unix.Syscall6(unix.SYS_KEXEC_LOAD, 0, 0, 0, 0xffff, 0, 0)
			return permitted(errno, unix.EPERM, unix.ENOSYS)
		}},
		{"bpf", func(target) (string, error) {
			// An array of one element.
			attr := struct{ kind, key, value, entries, flags uint32 }{2, 4, 4, 1, 0}
			return descriptor(unix.Syscall(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr)))
		}},
		{"perf events of all processes", func(target) (string, error) {
			attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Config: unix.PERF_COUNT_SW_CPU_CLOCK}
			fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, 0)
			return opened(fd, err)
		}},
		{"userfaultfd", func(target) (string, error) {
			return descriptor(unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0))
		}},
		{"io_uring", func(target) (string, error) {
			var params [120]byte
			return descriptor(unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0))
		}},
		{"kernel keyring", func(target) (string, error) {
			id, err := unix.AddKey("user", "breakout", []byte("x"), unix.KEY_SPEC_PROCESS_KEYRING)
			return fmt.Sprintf("key %d", id), err
		}},
		{"read the kernel log", func(target) (string, error) {
			n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, make([]byte, 4096))
			return fmt.Sprintf("%d bytes", n), err
		}},
		{"open a file by its handle", openByHandle},
		{"signal a process of the host", func(t target) (string, error) {
			return "may", unix.Kill(t.pid, 0)
		}},
		{"trace a process of the host", func(t target) (string, error) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			if err := unix.PtraceSeize(t.pid); err != nil {
				return "", err
			}
			return "traced", unix.PtraceDetach(t.pid)
		}},
		{"enter namespaces of the host", func(t target) (string, error) {
			fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/mnt", t.pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
			return opened(fd, err)
		}},
		{"raise a limit", func(target) (string, error) {
			var now unix.Rlimit
			if err := unix.Getrlimit(unix.RLIMIT_CORE, &now); err != nil {
				return "", err
			}
			if now.Max == unix.RLIM_INFINITY {
				return "core dumps were unlimited", nil
			}
			return "raised", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 0, Max: now.Max + 1})
		}},
		{"last to be ended for want of memory", func(target) (string, error) {
			return "is now", os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0)
		}},
	}
}

// permitted is for calls that are made with nonsense: any complaint but those
// of a barred way means that the kernel would have done it.
func permitted(errno unix.Errno, barred ...unix.Errno) (string, error) {
	for _, b := range barred {
		if errno == b {
			return "", errno
		}
	}
	return "the kernel looked at it: " + errno.Error(), nil
}

func descriptor(fd, _ uintptr, errno unix.Errno) (string, error) {
	if errno != 0 {
		return "", errno
	}
	return opened(int(fd), nil)
}

func opened(fd int, err error) (string, error) {
	if err != nil {
		return "", err
	}
	unix.Close(fd)
	return "opened", nil
}

// openByHandle opens the root of a file system of the host's on which some
// file in here is, by the number that it always has.
func openByHandle(target) (string, error) {
	for _, file := range []string{"/etc/hosts", "/etc/resolv.conf", "/"} {
		mount, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		defer unix.Close(mount)
		// ext4: inode 2, of any generation, by the simplest kind of handle.
		handle := unix.NewFileHandle(1, []byte{2, 0, 0, 0, 0, 0, 0, 0})
		fd, err := unix.OpenByHandleAt(mount, handle, unix.O_RDONLY)
		if err == nil || errors.Is(err, unix.ESTALE) { // the kernel looked for it
			if err == nil {
				unix.Close(fd)
			}
			return "the kernel looks for files by handle", nil
		}
		if file == "/" {
			return "", err
		}
	}
	return "", errors.New("no file to begin with")
}
