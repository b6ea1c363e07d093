package containerd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tidyEvery is far more than layers are mounted for, and than it takes a shim to
// start or to end.
const tidyEvery = 20 * time.Second

// keepTidy removes, until ctx is done, what is left of containers whose making
// nobody waited for any more: their shims, and the mounts of shims that were
// killed before they had unmounted them.
func (r *Runtime) keepTidy(ctx context.Context) {
	var mounts, shims []string
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(tidyEvery):
		}
		var errs [2]error
		mounts, errs[0] = r.options.tidyTemporary(mounts, false)
		shims, errs[1] = r.options.endShims(shims, false)
		if err := errors.Join(errs[:]...); err != nil {
			r.log.Warn("containerd is not tidied up after", "error", err)
		}
	}
}

// endStarting ends a containerd of ours that does not listen: its daemon was
// killed while it was starting. Another one beside it would wait for the
// database for ever, and nobody would ever end the first.
func (o Options) endStarting() error {
	return endEach(func(line []string) bool {
		return len(line) > 2 && slices.Equal(line[len(line)-2:], []string{"--config", o.configFile()})
	})
}

// endShims ends the shims of this containerd, all or only those that it cannot
// know of. Those are left when somebody who had asked for a container died:
// containerd gives up what nobody waits for, and forgets what it was starting.
// Of what is starting or ending at this moment it may not know either, so it is
// left alone unless it is among those of before. endShims returns what it has
// left alone; the ids never come back.
func (o Options) endShims(before []string, all bool) (now []string, err error) {
	err = endEach(func(line []string) bool {
		id := o.shimID(line)
		switch {
		case id == "" || !all && o.bundled(id):
			return false
		case all || slices.Contains(before, id):
			return true
		}
		now = append(now, id)
		return false
	})
	return now, err
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
