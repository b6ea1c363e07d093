// Package cgroup reads what the agent's own container uses. It exists because
// nobody outside of a container group can: the cloud shows one figure a minute
// for a whole group. Both versions of the kernel's interface are read.
package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"frankenetes.dev/agent/protocol"
)

// Group is where the files of a container's cgroup are.
type Group struct {
	// unified is the directory of version 2, or empty.
	unified string
	// cpu and memory are the directories of version 1, or empty.
	cpu, memory string
}

// Own finds the cgroup of this process. What cannot be found is reported when
// it is read.
func Own() Group {
	membership, _ := os.ReadFile("/proc/self/cgroup")
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	return find(string(membership), string(mounts))
}

// find reads cgroups(7)'s /proc/self/cgroup and proc(5)'s mountinfo. A
// controller that version 1 has is not in version 2.
func find(membership, mounts string) Group {
	paths := map[string]string{} // controller: path; "" is version 2
	for line := range strings.Lines(membership) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		for _, controller := range strings.Split(f[1], ",") {
			paths[controller] = f[2]
		}
	}
	var g Group
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(line, " - ")
		mount, kind := strings.Fields(before), strings.Fields(after)
		if len(mount) < 5 || len(kind) < 3 {
			continue
		}
		dir := func(controller string) string {
			return filepath.Join(mount[4], below(paths[controller], mount[3]))
		}
		options := strings.Split(kind[2], ",")
		switch {
		case kind[0] == "cgroup2":
			g.unified = dir("")
		case kind[0] == "cgroup" && slices.Contains(options, "memory"):
			g.memory = dir("memory")
		case kind[0] == "cgroup" && slices.Contains(options, "cpuacct"):
			g.cpu = dir("cpuacct")
		}
	}
	return g
}

// below is a cgroup's path as seen from a mount of which root is the top. A
// container often sees only its own cgroup, as the top.
func below(path, root string) string {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(root, "/"))
	if !ok || rest != "" && rest[0] != '/' {
		return "/"
	}
	return rest
}

// Usage reads CPU time and memory.
func (g Group) Usage() (protocol.Usage, error) {
	u := protocol.Usage{Time: time.Now()}
	var err, memory error
	if g.cpu != "" {
		u.CPUNanoseconds, err = readNumber(g.cpu, "cpuacct.usage")
	} else {
		u.CPUNanoseconds, err = readField(g.unified, "cpu.stat", "usage_usec")
		u.CPUNanoseconds *= uint64(time.Microsecond)
	}
	if g.memory != "" {
		memory = readMemory(&u, g.memory, "memory.usage_in_bytes", "memory.limit_in_bytes", "total_", "rss")
	} else {
		memory = readMemory(&u, g.unified, "memory.current", "memory.max", "", "anon")
	}
	if err := errors.Join(err, memory); err != nil {
		return u, fmt.Errorf("read usage: %w", err)
	}
	return u, nil
}

// readMemory fills in what files of either version say of memory. The keys of
// memory.stat that count the whole container have a prefix in version 1, which
// also has another word for anonymous memory.
func readMemory(u *protocol.Usage, dir, usage, limit, prefix, anonymous string) error {
	var err error
	if u.MemoryBytes, err = readNumber(dir, usage); err != nil {
		return err
	}
	stat, err := readFields(dir, "memory.stat")
	if err != nil {
		return err
	}
	cache, ok := stat[prefix+"inactive_file"]
	if !ok {
		return fmt.Errorf("memory.stat has no %sinactive_file", prefix)
	}
	u.WorkingSetBytes = u.MemoryBytes - min(cache, u.MemoryBytes)
	u.RSSBytes, u.PageFaults, u.MajorPageFaults = stat[prefix+anonymous], stat[prefix+"pgfault"], stat[prefix+"pgmajfault"]
	// No limit is the word "max", or a number beyond all memory.
	if n, err := readNumber(dir, limit); err == nil && n < unlimited {
		u.LimitBytes = n
	}
	return nil
}

// unlimited is no limit in version 1: the kernel shows the largest number of
// whole pages.
const unlimited = 1 << 62

// OOMKills is how many processes were killed for want of memory, and 0 where
// that cannot be known.
func (g Group) OOMKills() uint64 {
	file, dir := "memory.oom_control", g.memory
	if dir == "" {
		file, dir = "memory.events", g.unified
	}
	n, err := readField(dir, file, "oom_kill")
	if err != nil {
		return 0
	}
	return n
}

func readNumber(dir, name string) (uint64, error) {
	data, err := read(dir, name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(data)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

// readField reads one field of a file of "key value" lines.
func readField(dir, name, key string) (uint64, error) {
	fields, err := readFields(dir, name)
	if err != nil {
		return 0, err
	}
	n, ok := fields[key]
	if !ok {
		return 0, fmt.Errorf("%s has no %s", name, key)
	}
	return n, nil
}

// readFields reads a file of "key value" lines; values that are no numbers are
// left out.
func readFields(dir, name string) (map[string]uint64, error) {
	data, err := read(dir, name)
	if err != nil {
		return nil, err
	}
	fields := map[string]uint64{}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseUint(value, 10, 64); err == nil {
			fields[key] = n
		}
	}
	return fields, nil
}

func read(dir, name string) ([]byte, error) {
	if dir == "" {
		return nil, fmt.Errorf("no cgroup with %s: %w", name, fs.ErrNotExist)
	}
	return os.ReadFile(filepath.Join(dir, name))
}
