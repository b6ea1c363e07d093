package storage

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is one that the kernel lists, as far as its open files go.
type process struct {
	// dir is /proc/{pid}.
	dir    string
	mounts map[int]mount
}

// descriptor is an open file of a process.
type descriptor struct {
	number string
	place  place
	// flags are those of open(2).
	flags int
	info  fs.FileInfo
}

// readMounts reads the process's mounts.
func (p *process) readMounts() error {
	f, err := os.Open(p.dir + "/mountinfo")
	if err != nil {
		return err
	}
	defer f.Close()
	p.mounts, err = readMounts(f)
	return err
}

// sees says whether any mount of the process can lead to a place.
func (p *process) sees(at place) bool {
	for _, m := range p.mounts {
		_, under := below(at.path, m.root)
		_, over := below(m.root, at.path)
		if m.device == at.device && (under || over) {
			return true
		}
	}
	return false
}

var errNoFile = errors.New("not a file of a mounted file system")

// descriptor reads what one of the process's descriptors is.
func (p *process) descriptor(number string) (descriptor, error) {
	d := descriptor{number: number}
	path, err := os.Readlink(p.dir + "/fd/" + number)
	if err != nil {
		return d, err
	}
	if !strings.HasPrefix(path, "/") { // a socket or a pipe
		return d, errNoFile
	}
	info, err := os.ReadFile(p.dir + "/fdinfo/" + number)
	if err != nil {
		return d, err
	}
	var found bool
	for line := range strings.Lines(string(info)) {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "flags":
			flags, err := strconv.ParseInt(value, 8, 64)
			if err != nil {
				return d, fmt.Errorf("read flags: %w", err)
			}
			d.flags = int(flags)
		case "mnt_id":
			id, err := strconv.Atoi(value)
			if err != nil {
				return d, fmt.Errorf("read mount: %w", err)
			}
			d.place, found = p.mounts[id].place(path)
		}
	}
	if !found {
		return d, errNoFile
	}
	d.info, err = os.Stat(p.dir + "/fd/" + number)
	return d, err
}

// descriptors returns all open files of the process. What is closed meanwhile
// is left out.
func (p *process) descriptors() ([]descriptor, error) {
	entries, err := os.ReadDir(p.dir + "/fd")
	if err != nil {
		return nil, err
	}
	var list []descriptor
	for _, entry := range entries {
		if d, err := p.descriptor(entry.Name()); err == nil {
			list = append(list, d)
		}
	}
	return list, nil
}

// started returns the tick of the machine's clock in which the process began:
// with the pid, a name that no other process has.
func (p *process) started() int64 {
	stat, err := os.ReadFile(p.dir + "/stat")
	if err != nil {
		return 0
	}
	// The second field is a name in brackets, which may have blanks; the third
	// is the first of these.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const startTime = 22 - 3
	if len(fields) <= startTime {
		return 0
	}
	ticks, err := strconv.ParseInt(fields[startTime], 10, 64)
	if err != nil {
		return 0
	}
	return ticks
}

// ticksPerSecond is the unit in which Linux tells a process's start, on every
// machine.
const ticksPerSecond = 100

// begun returns when the process began: its files were opened after that, and
// the kernel keeps no nearer time.
func (p *process) begun() time.Time {
	var booted, now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &booted) != nil || unix.ClockGettime(unix.CLOCK_REALTIME, &now) != nil {
		return time.Time{}
	}
	age := time.Duration(booted.Nano()) - time.Duration(p.started())*(time.Second/ticksPerSecond)
	return time.Unix(0, now.Nano()).Add(-age)
}

// address returns the address of the process's network: the first that is not
// the loopback's, which is what it has on the host itself.
func (p *process) address() string {
	const none = "127.0.0.1"
	f, err := os.Open(p.dir + "/net/fib_trie")
	if err != nil {
		return none
	}
	defer f.Close()
	last := ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		if address, ok := strings.CutPrefix(text, "|-- "); ok {
			last = address
		}
		if text == "/32 host LOCAL" && !strings.HasPrefix(last, "127.") {
			return last
		}
	}
	return none
}
