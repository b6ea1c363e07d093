package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// figuresFile is the variable with the file to which figures are added; without
// it tests measure just enough to know that measuring still works.
const figuresFile = "FRANKENETES_FIGURES"

// Figures are what a test has measured. It asserts nothing about them, since
// they are the machine's as much as the cloud's.
type Figures struct {
	t           *testing.T
	title, host string
	lines       []string
}

// NewFigures begins a table. What is in it is written when the test has passed.
func NewFigures(t *testing.T, title string) *Figures {
	t.Helper()
	f := &Figures{t: t, title: title, host: host()}
	t.Cleanup(f.write)
	return f
}

// InEarnest reports whether somebody wants to read the figures.
func InEarnest() bool { return os.Getenv(figuresFile) != "" }

// Add adds a line.
func (f *Figures) Add(what string, value any) {
	f.t.Helper()
	f.t.Logf("%s: %v", what, value)
	f.lines = append(f.lines, fmt.Sprintf("| %s | %v |", what, value))
}

// write appends the table to the file, as Markdown.
func (f *Figures) write() {
	path := os.Getenv(figuresFile)
	if path == "" || f.t.Failed() {
		return
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer file.Close()
	if _, err := fmt.Fprintf(file, "\n## %s\n\n%s.\n\n| | |\n|---|---|\n%s\n", f.title, f.host, strings.Join(f.lines, "\n")); err != nil {
		f.t.Error(err)
	}
}

// host tells of the machine, and how busy it is.
func host() string {
	cpus, _ := os.ReadFile("/proc/cpuinfo")
	model := ""
	for line := range strings.Lines(string(cpus)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	var info unix.Sysinfo_t
	_ = unix.Sysinfo(&info) // zeros show that it failed
	var uts unix.Utsname
	_ = unix.Uname(&uts)
	return fmt.Sprintf("%s: %d CPUs (%s), %d GiB, Linux %s; the load was %.1f when it began", time.Now().Format(time.DateOnly),
		strings.Count(string(cpus), "processor\t"), model, (info.Totalram*uint64(info.Unit)+1<<29)>>30,
		unix.ByteSliceToString(uts.Release[:]), float64(info.Loads[0])/(1<<16))
}

// Took is how long fn takes.
func Took(fn func()) time.Duration {
	begin := time.Now()
	fn()
	return time.Since(begin).Round(time.Millisecond)
}

// Times measures fn so many times, and what comes after it, if anything, not.
func Times(n int, fn, after func(i int)) []time.Duration {
	var all []time.Duration
	for i := range n {
		all = append(all, Took(func() { fn(i) }))
		if after != nil {
			after(i)
		}
	}
	return all
}

// Spread tells of measurements: how many, least, median, 99th percentile, most.
func Spread(all []time.Duration) string {
	slices.Sort(all)
	at := func(share float64) time.Duration {
		return all[int(share*float64(len(all)-1)+0.5)].Round(time.Millisecond)
	}
	return fmt.Sprintf("%d times: least %v, median %v, p99 %v, most %v", len(all), at(0), at(0.5), at(0.99), at(1))
}

// Memory returns what the cloud's processes have of the machine's memory, by
// program, in bytes: of pages that several share, each has its part.
func (m *Machine) Memory() map[string]int64 {
	m.T.Helper()
	tr := m.Traces()
	used := map[string]int64{}
	for _, pids := range [][]int{tr.Daemons(m.T), tr.Containerd(m.T), tr.Shims(m.T), tr.members(m.T)} {
		for _, pid := range pids {
			used[programOf(pid)] += proportional(pid)
		}
	}
	return used
}

// programOf is the name of a process's program; one that has several names goes
// by that by which it was called.
func programOf(pid int) string {
	exe, _ := os.Readlink(procFile(pid, "exe"))
	name := filepath.Base(exe)
	if name == "hyperkube" {
		words, _ := os.ReadFile(procFile(pid, "cmdline"))
		first, _, _ := strings.Cut(string(words), "\x00")
		name = filepath.Base(first)
	}
	return name
}

// proportional is a process's part of the memory that it uses; zero when it has
// ended.
func proportional(pid int) int64 {
	text, err := os.ReadFile(procFile(pid, "smaps_rollup"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, "Pss: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	return 0
}

// Megabytes writes an amount of memory.
func Megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }
