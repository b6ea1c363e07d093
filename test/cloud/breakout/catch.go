package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// catchTime is how long catch waits for the runtime.
const catchTime = 2 * time.Second

// catch waits for a process in the container whose program is not of the
// container, which is the runtime about to become what it was told to run, and
// tries to open that program for writing (CVE-2019-5736).
func catch() {
	result := Result{Name: "write to the container runtime", Said: "not caught"}
	seen := 0
	for until := time.Now().Add(catchTime); time.Now().Before(until) && !result.Out; {
		entries, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, exe := range entries {
			said, err := overwrite(exe)
			if errors.Is(err, errOurs) {
				continue
			}
			seen++
			result.Said = fmt.Sprintf("%s: %v", said, err)
			if err == nil {
				result.Out = true
				break
			}
		}
	}
	result.Said += fmt.Sprintf(" (%d looks)", seen)
	print([]Result{result})
}

// errOurs is of a program that the container has anyway.
var errOurs = errors.New("a program of the container's own")

func overwrite(exe string) (string, error) {
	name, err := os.Readlink(exe)
	if errors.Is(err, os.ErrNotExist) {
		return "", errOurs // gone again
	}
	if err != nil {
		return exe, err
	}
	if _, err := os.Stat(name); err == nil {
		return "", errOurs
	}
	// A program that runs cannot be written to; a descriptor of it can be
	// opened for writing as soon as it has ended.
	fd, err := unix.Open(exe, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return name, err
	}
	defer unix.Close(fd)
	for range 200 {
		var w int
		if w, err = unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
			unix.Close(w)
			return name, nil
		}
		if !errors.Is(err, unix.ETXTBSY) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return name, err
}
