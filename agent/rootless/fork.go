package rootless

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// self is this program, wherever it is.
const self = "/proc/self/exe"

// stageSocket is the descriptor of a stage's socket, after the three streams.
const stageSocket = 3

// fork starts this program as a stage in new namespaces, in which each user and
// group that there is here has the same number. It returns its PID. A reaper
// calls it, which starts but one process at a time.
func fork(stage string, socket *os.File) (int, error) {
	users, err := sameIDs("/proc/self/uid_map")
	if err != nil {
		return 0, err
	}
	groups, err := sameIDs("/proc/self/gid_map")
	if err != nil {
		return 0, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	attr := &syscall.ProcAttr{
		Dir:   "/",
		Files: []uintptr{null.Fd(), os.Stderr.Fd(), os.Stderr.Fd(), socket.Fd()},
		Sys: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWUTS,
			UidMappings: users, GidMappings: groups, GidMappingsEnableSetgroups: true,
			Setsid: true,
		},
	}
	// The maps of a child whose memory nobody may look into are the machine's
	// own, and could not be written. It has ours until it executes the stage.
	// Whatever runs in this container then is in a namespace that may not look
	// into ours.
	before, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return 0, fmt.Errorf("read whether own memory is hidden: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("show own memory: %w", err)
	}
	pid, err := syscall.ForkExec(self, []string{"agent", stage}, attr)
	runtime.KeepAlive(socket)
	if hide := unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(before), 0, 0, 0); hide != nil {
		err = errors.Join(err, fmt.Errorf("hide own memory: %w", hide))
	}
	return pid, err
}

// sameIDs reads an id map, see user_namespaces(7), and returns the one that
// changes nothing.
func sameIDs(path string) ([]syscall.SysProcIDMap, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read own ids: %w", err)
	}
	var ids []syscall.SysProcIDMap
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("read own ids: %s has %q", path, line)
		}
		first, err1 := strconv.Atoi(fields[0])
		size, err2 := strconv.Atoi(fields[2])
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("read own ids: %w", err)
		}
		ids = append(ids, syscall.SysProcIDMap{ContainerID: first, HostID: first, Size: size})
	}
	return ids, nil
}

// stageConn is a stage's own end of its socket.
func stageConn() (*conn, error) {
	// It stays open for the next stage, so what is taken is a copy.
	fd, err := unix.FcntlInt(stageSocket, unix.F_DUPFD_CLOEXEC, stageSocket+1)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return newConn(os.NewFile(uintptr(fd), "socket"))
}
