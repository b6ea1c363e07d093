package containerd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// endStarting ends a containerd of ours that does not listen: its daemon was
// killed while it was starting. Another one beside it would wait for the
// database for ever, and nobody would ever end the first.
func (o Options) endStarting() error {
	return endEach(func(line []string) bool {
		return len(line) > 2 && slices.Equal(line[len(line)-2:], []string{"--config", o.configFile()})
	})
}

// strayShims returns the ids of the shims that containerd cannot know of. Each
// that it knows has a directory.
func (o Options) strayShims() (strays []string, err error) {
	err = endEach(func(line []string) bool {
		if id := o.shimID(line); id != "" && !o.bundled(id) {
			strays = append(strays, id)
		}
		return false
	})
	return strays, err
}

// endShim ends the shim of a sandbox, endShims that of every one.
func (o Options) endShim(id string) error {
	return endEach(func(line []string) bool { return o.shimID(line) == id })
}

func (o Options) endShims() error {
	return endEach(func(line []string) bool { return o.shimID(line) != "" })
}

// shimID returns the id of the sandbox of one of our shims, or nothing if the
// command line is of another program.
func (o Options) shimID(line []string) string {
	value := func(flag string) string {
		if i := slices.Index(line, flag); i >= 0 && i+1 < len(line) {
			return line[i+1]
		}
		return ""
	}
	if value("-address") != o.Socket() {
		return ""
	}
	return value("-id")
}

// bundled reports whether containerd has a directory for a shim.
func (o Options) bundled(id string) bool {
	_, err := os.Stat(filepath.Join(o.tasks(), id))
	return err == nil
}

// endEach kills the processes whose command line is one to end.
func endEach(end func(line []string) bool) error {
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		before := commandLine(path)
		if err != nil || len(before) == 0 || !end(before) {
			continue
		}
		p, err := watch(pid, notOurs)
		if errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return err
		}
		// Still the same one, now that the number cannot come to mean another?
		if slices.Equal(before, commandLine(path)) {
			p.kill()
		} else {
			unix.Close(p.fd)
		}
	}
	return nil
}

// commandLine returns a process's arguments; none of one that has ended.
func commandLine(path string) []string {
	line, err := os.ReadFile(path)
	if err != nil || len(line) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
}
