package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// mostForks is more than any group may have; a host has room for it.
const mostForks = 12000

// forks starts processes until there can be no more, says how many there were,
// and ends them. In the result, Out means that nothing stopped it.
func forks() {
	var children []int
	var refused unix.Errno
	for len(children) < mostForks {
		pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			refused = errno
			break
		}
		if pid == 0 {
			for { // a child of a program with threads can do little else
				_, _, _ = unix.RawSyscall(unix.SYS_PPOLL, 0, 0, 0)
			}
		}
		children = append(children, int(pid))
	}
	for _, pid := range children {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	for _, pid := range children {
		_, _ = unix.Wait4(pid, nil, 0, nil)
	}
	print([]Result{{Name: "processes without end", Out: refused == 0, Said: fmt.Sprintf("%d, then %v", len(children), refused)}})
}
