package cloudtest

import (
	"os"
	"path/filepath"
	"strings"
	"sync"

	"frankenetes.dev/test/machine"
)

// refusedCode is the exit code of a daemon that finds another one.
const refusedCode = 4

// testSecondDaemon starts a daemon on the directory of one that runs, by its
// name and by another.
func testSecondDaemon(f *fleet) {
	f.each((*fleet).verify)
	f.remember()
	before := f.Status()
	link := filepath.Join(f.T.TempDir(), "link")
	if err := os.Symlink(f.Home, link); err != nil {
		f.T.Fatal(err)
	}
	for _, home := range []string{f.Home, link} {
		out, code := f.Try("cloud", "run", "--home", home)
		if code != refusedCode || !strings.Contains(out, "another daemon runs on this data directory") || !strings.Contains(out, "hint: ") {
			f.T.Errorf("a second daemon on %s: exit code %d\n%s", home, code, out)
		}
	}
	machine.ExpectNothing(f.T, "of a daemon that was refused", machine.TracesOf(link).Cloud(f.T))
	if after := f.Status(); after.PID != before.PID {
		f.T.Errorf("the daemon was process %d and is %d", before.PID, after.PID)
	}
	f.each((*fleet).verify)
	f.sameProcesses()
	f.settled()
}

// testStartsAtOnce starts the cloud many times at once, in both ways. There is
// one daemon in the end, and whoever only wanted one to be there is content.
func testStartsAtOnce(f *fleet) {
	f.each((*fleet).verify)
	f.remember()
	f.Kill9()
	f.atOnce(4, func() {
		if out, code := f.Try("cloud", "start"); code != 0 {
			f.T.Errorf("one of many starts: exit code %d\n%s", code, out)
		}
	}, func() {
		if out, code := f.Try("cloud", "status"); code != 0 && code != 5 {
			f.T.Errorf("status meanwhile: exit code %d\n%s", code, out)
		}
	})
	if n := len(f.traces().Daemons(f.T)); n != 1 {
		f.T.Errorf("there are %d daemons", n)
	}
	out, code := f.Try("cloud", "run")
	if code != refusedCode {
		f.T.Errorf("another daemon: exit code %d\n%s", code, out)
	}
	f.each((*fleet).verify)
	f.sameProcesses()
	f.settled()
}

// testStartsAndStopsAtOnce starts and stops the cloud at once. Nobody can tell
// what wins, but everybody gets an answer, and nothing is lost.
func testStartsAndStopsAtOnce(f *fleet) {
	f.atOnce(3, func() {
		if out, code := f.Try("cloud", "start"); code != 0 && code != 5 {
			f.T.Errorf("start: exit code %d\n%s", code, out)
		}
	}, func() {
		if out, code := f.Try("cloud", "stop"); code != 0 {
			f.T.Errorf("stop: exit code %d\n%s", code, out)
		}
	})
	f.Run("cloud", "stop")
	machine.ExpectNothing(f.T, "after starts and stops at once", f.traces().Cloud(f.T))
	f.Run("cloud", "start")
	for _, m := range f.members { // how often they were lost is luck
		if m.runs() {
			m.now.lose()
			m.now.unsure = true
		}
	}
	f.each((*fleet).verify)
	f.settled()
}

// atOnce calls all functions so many times, all at once.
func (f *fleet) atOnce(times int, all ...func()) {
	var running sync.WaitGroup
	for range times {
		for _, fn := range all {
			running.Go(fn)
		}
	}
	running.Wait()
}
