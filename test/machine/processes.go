package machine

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Process is a process of a cloud. Number and start together name it: no other
// process of the host ever has both.
type Process struct {
	PID, Parent int
	// Started is when it was, in clock ticks since the host was.
	Started string
	// Environ are its variables, "NAME=value".
	Environ []string
	// Container is the runtime's id of the container that it is in, if any.
	Container string
}

// Same reports whether both are the same process.
func (p Process) Same(o Process) bool { return p.PID == o.PID && p.Started == o.Started }

// Containers returns the first process of every container that runs in the
// cloud, those that hold the groups' namespaces among them.
func (tr Traces) Containers(t *testing.T) []Process {
	t.Helper()
	var list []Process
	for _, pid := range tr.members(t) {
		if p, ok := processOf(pid); ok && firstOfItsNamespace(pid) {
			list = append(list, p)
		}
	}
	return list
}

// members returns the processes in the cloud's cgroups, but for those that have
// ended and of which somebody has to take note yet.
func (tr Traces) members(t *testing.T) []int {
	t.Helper()
	return slices.DeleteFunc(processesWith(t, "cgroup", "/frankenetes-"+tr.tag), func(pid int) bool {
		_, alive := processOf(pid)
		return !alive
	})
}

// Containerd returns the cloud's containerd, of which there may be none, and
// should never be two.
func (tr Traces) Containerd(t *testing.T) []int {
	t.Helper()
	return processesWith(t, "cmdline", filepath.Join(tr.home, "containerd", "config.toml"))
}

// Daemons returns the daemons of the cloud, of which there should be one at most.
func (tr Traces) Daemons(t *testing.T) []int {
	t.Helper()
	return slices.DeleteFunc(processesWith(t, "cmdline", tr.home), func(pid int) bool {
		words, _ := os.ReadFile(procFile(pid, "cmdline"))
		return !bytes.Contains(words, []byte("\x00cloud\x00run\x00"))
	})
}

// Shims returns the processes that stand between containerd and containers.
func (tr Traces) Shims(t *testing.T) []int {
	t.Helper()
	var shims []int
	for _, pid := range processesWith(t, "cmdline", filepath.Join("/run/frankenetes", tr.tag, "c", "containerd.sock")) {
		if program, _ := os.Readlink(procFile(pid, "exe")); strings.HasPrefix(filepath.Base(program), "containerd-shim") {
			shims = append(shims, pid)
		}
	}
	return shims
}

// processesWith returns the processes in whose file below /proc there is text.
func processesWith(t *testing.T, file, text string) []int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(data, []byte(text)) { // processes come and go
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

func procFile(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// processOf reads what the kernel says of a process, unless it has ended.
func processOf(pid int) (Process, bool) {
	stat, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return Process{}, false
	}
	environ, err := os.ReadFile(procFile(pid, "environ"))
	if err != nil {
		return Process{}, false
	}
	// The name, in parentheses, may have anything in it.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const state, parent, started = 0, 1, 19
	if len(fields) <= started || fields[state] == "Z" {
		return Process{}, false
	}
	p := Process{PID: pid, Container: containerOf(pid), Started: fields[started], Environ: strings.Split(string(environ), "\x00")}
	p.Parent, err = strconv.Atoi(fields[parent])
	return p, err == nil
}

// containerOf returns the last part of the name of a process's cgroup.
func containerOf(pid int) string {
	cgroups, err := os.ReadFile(procFile(pid, "cgroup"))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(cgroups)) {
		if strings.Contains(line, "/frankenetes-") {
			return filepath.Base(strings.TrimSpace(line))
		}
	}
	return ""
}

// firstOfItsNamespace reports whether a process is number 1 where it lives.
func firstOfItsNamespace(pid int) bool {
	status, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			all := strings.Fields(numbers)
			return len(all) > 1 && all[len(all)-1] == "1"
		}
	}
	return false
}

// Command is the process's command line as it is now, or nothing when it has
// ended.
func (p Process) Command() string {
	line, err := os.ReadFile(procFile(p.PID, "cmdline"))
	if err != nil {
		return ""
	}
	return strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " ")
}

// Has reports whether the process has a variable, "NAME=value".
func (p Process) Has(variable string) bool { return slices.Contains(p.Environ, variable) }
