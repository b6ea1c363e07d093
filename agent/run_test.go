package agent

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"frankenetes.dev/agent/protocol"
	"github.com/google/go-cmp/cmp"
)

func TestHello(t *testing.T) {
	h, err := newClient(t).Hello(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	name, _ := os.Hostname()
	want := protocol.Hello{IP: "127.0.0.1", Hostname: name, Version: "v1", Ports: h.Ports}
	want.Inexact, want.Unclean = "this agent was not asked to find out", "this agent was not asked to find out"
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
}

func TestExitCodes(t *testing.T) {
	c := newClient(t)
	for script, want := range map[string]int32{
		"exit 0": 0, "exit 3": 3, "exit 255": 255, "kill -TERM $$": 143, "kill -KILL $$": 137,
	} {
		state, _ := runScript(t, c, script)
		if state.ExitCode != want || state.Phase != protocol.Exited {
			t.Errorf("%s: got %+v, want exit code %d", script, state, want)
		}
		if state.StartedAt.IsZero() || state.FinishedAt.Before(state.StartedAt) {
			t.Errorf("%s: ran from %v to %v", script, state.StartedAt, state.FinishedAt)
		}
	}
}

func TestProcessGetsWhatItWasGiven(t *testing.T) {
	c := newClient(t)
	dir := filepath.Join(t.TempDir(), "made", "for it")
	p := shell("p", `echo "$1|$A|$B|$HOME"; pwd; cat hosts`)
	p.Args = append(p.Args, "sh", "an argument")
	p.Env = append(p.Env, "A=", "B=x=y z", "HOME=/h")
	p.Dir = dir
	p.Files = []protocol.File{{
		Path: dir + "/hosts", Data: []byte("127.0.0.1 localhost\n"), Mode: 0o640,
		UID: int64(os.Geteuid()), GID: int64(os.Getegid()),
	}}
	start(t, c, p)
	want := "stdout F an argument||x=y z|/h\nstdout F " + dir + "\nstdout F 127.0.0.1 localhost\n"
	if diff := cmp.Diff(want, output(t, c, "p")); diff != "" {
		t.Error(diff)
	}
	if info, err := os.Stat(dir + "/hosts"); err != nil || info.Mode() != 0o640 {
		t.Errorf("file has mode %v (%v)", info.Mode(), err)
	}
}

func TestHomeAndPathHaveDefaults(t *testing.T) {
	c := newClient(t)
	p := shell("p", "env")
	p.Env = nil
	start(t, c, p)
	text := output(t, c, "p")
	for _, name := range []string{"HOME=/", "PATH=/usr/local/sbin:"} {
		if !strings.Contains(text, name) {
			t.Errorf("no %s in %s", name, text)
		}
	}
}

func TestStartRefuses(t *testing.T) {
	c := newClient(t)
	plain := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*protocol.Process)) protocol.Process {
		p := shell("p", "true")
		change(&p)
		return p
	}
	for want, p := range map[string]protocol.Process{
		`exec: "nope": executable file not found in $PATH`: with(func(p *protocol.Process) { p.Args[0] = "nope" }),
		"no command is given":                              with(func(p *protocol.Process) { p.Args = nil }),
		"unable to find user nemo":                         with(func(p *protocol.Process) { p.User = protocol.User{Name: "nemo"} }),
		"make working directory":                           with(func(p *protocol.Process) { p.Dir = plain + "/x" }),
		"is no process ID":                                 with(func(p *protocol.Process) { p.ID = "../up" }),
		"its path is not absolute":                         with(func(p *protocol.Process) { p.Files = []protocol.File{{Path: "x"}} }),
		`"FLY" is no capability`:                           with(func(p *protocol.Process) { p.DropCapabilities = []string{"FLY"} }),
		"permission denied":                                with(func(p *protocol.Process) { p.Args[0] = plain }),
		"stat /no/such: no such file":                      with(func(p *protocol.Process) { p.Args[0] = "/no/such" }),
	} {
		_, err := c.Start(bounded(t), p)
		if refusal(err) == 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	// What could not be started is not there, so the ID is free.
	start(t, c, shell("p", "true"))
	if _, err := c.Start(bounded(t), shell("p", "true")); refusal(err) != http.StatusConflict {
		t.Errorf("starting twice: %v", err)
	}
}

func TestSignals(t *testing.T) {
	c := newClient(t)
	start(t, c, shell("p", "trap 'echo caught; exit 7' USR1; echo ready; while :; do sleep 0.01; done"))
	awaitLine(t, c, "p", "ready")
	if err := c.Signal(bounded(t), "p", "NONSENSE"); refusal(err) != http.StatusBadRequest {
		t.Errorf("nonsense: %v", err)
	}
	if err := c.Signal(bounded(t), "p", "SIGUSR1"); err != nil {
		t.Fatal(err)
	}
	if state := awaitExit(t, c, "p"); state.ExitCode != 7 {
		t.Errorf("got %+v", state)
	}
	if err := c.Signal(bounded(t), "p", "KILL"); err != nil {
		t.Errorf("a process that has ended: %v", err)
	}
	if err := c.Signal(bounded(t), "unknown", "KILL"); refusal(err) != http.StatusNotFound {
		t.Errorf("an unknown process: %v", err)
	}
}

func TestNothingIsLeftOfAProcessThatEnds(t *testing.T) {
	c := newClient(t)
	// One child in the same session, and one that went its own way.
	start(t, c, shell("p", "sleep 1000 & echo $!; setsid sleep 1000 & echo $!; echo ready; wait"))
	awaitLine(t, c, "p", "ready")
	if err := c.Signal(bounded(t), "p", "KILL"); err != nil {
		t.Fatal(err)
	}
	if state := awaitExit(t, c, "p"); state.ExitCode != 137 {
		t.Errorf("got %+v", state)
	}
	for line := range strings.Lines(output(t, c, "p")) {
		pid := strings.TrimSpace(strings.TrimPrefix(line, "stdout F "))
		if pid == "ready" {
			continue
		}
		if _, err := strconv.Atoi(pid); err != nil {
			t.Fatalf("log has %q", line)
		}
		if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil {
			t.Errorf("left is %s", stat)
		}
	}
}

func TestTerminationMessage(t *testing.T) {
	c := newClient(t)
	path := filepath.Join(t.TempDir(), "dev", "termination-log")
	run := func(id, script string) string {
		p := shell(id, script)
		p.Env = append(p.Env, "LOG="+path)
		p.TerminationMessagePath = path
		start(t, c, p)
		return awaitExit(t, c, id).Message
	}
	if got := run("1", "printf 'it was the butler' > $LOG"); got != "it was the butler" {
		t.Errorf("got %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o666 {
		t.Errorf("file has mode %v (%v)", info.Mode(), err)
	}
	if got := run("2", "true"); got != "" {
		t.Errorf("the message before is still there: %q", got)
	}
	if got := run("3", "{ head -c 5000 /dev/zero | tr '\\0' x; printf end; } > $LOG"); len(got) != 4096 || !strings.HasSuffix(got, "xend") {
		t.Errorf("got %d bytes, ending in %.10q", len(got), got[max(0, len(got)-10):])
	}
	if got := run("4", "rm $LOG; mkfifo $LOG"); got != "" {
		t.Errorf("a pipe says %q", got)
	}
}

func TestEventsTellAllThatHappens(t *testing.T) {
	c := newClient(t)
	start(t, c, shell("before", "exit 1"))
	awaitExit(t, c, "before")
	ctx, cancel := context.WithCancel(bounded(t))
	var seen []string
	err := c.Events(ctx, func(s protocol.State) {
		seen = append(seen, s.ID+" "+string(s.Phase))
		switch len(seen) {
		case 1:
			start(t, c, shell("after", "exit 2"))
		case 3:
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("events ended with %v", err)
	}
	if diff := cmp.Diff([]string{"before Exited", "after Running", "after Exited"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestRemove(t *testing.T) {
	a := newTestAgent(t)
	c := connectTo(t, a)
	start(t, c, shell("p", "echo x; sleep 1000"))
	if err := c.Remove(bounded(t), "p"); refusal(err) != http.StatusConflict {
		t.Errorf("removing what runs: %v", err)
	}
	if err := c.Signal(bounded(t), "p", "KILL"); err != nil {
		t.Fatal(err)
	}
	awaitExit(t, c, "p")
	for range 2 {
		if err := c.Remove(bounded(t), "p"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Logs(bounded(t), "p", 0, false); refusal(err) != http.StatusNotFound {
		t.Errorf("its log: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(a.cfg.Root, "log", "web", "*")); left != nil {
		t.Errorf("left are %v", left)
	}
}

func TestDiscardedPrivileges(t *testing.T) {
	c := newClient(t)
	p := shell("p", "grep -E 'NoNewPrivs|CapBnd|CapEff' /proc/self/status")
	p.NoNewPrivileges = true
	if os.Geteuid() == 0 {
		p.DropCapabilities = []string{"ALL"}
		p.AddCapabilities = []string{"CHOWN"}
	}
	start(t, c, p)
	text := strings.ReplaceAll(output(t, c, "p"), "\t", " ")
	want := []string{"NoNewPrivs: 1"}
	if os.Geteuid() == 0 {
		want = append(want, "CapBnd: 0000000000000001", "CapEff: 0000000000000001")
	}
	for _, line := range want {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in %s", line, text)
		}
	}
	// It was only for that process.
	start(t, c, shell("q", "grep NoNewPrivs /proc/self/status"))
	if text := output(t, c, "q"); !strings.Contains(text, "0") {
		t.Errorf("the next process has %s", text)
	}
}

func TestAnotherUser(t *testing.T) {
	c := newClient(t)
	uid, gid := int64(54321), int64(54322)
	p := shell("p", "id -u; id -g; id -G; echo through the name > /dev/stdout")
	p.User = protocol.User{UID: &uid, GID: &gid, Groups: []int64{54323}}
	if os.Geteuid() != 0 {
		if _, err := c.Start(bounded(t), p); refusal(err) == 0 || !strings.Contains(err.Error(), "54321") {
			t.Errorf("got %v", err)
		}
		return
	}
	start(t, c, p)
	want := "stdout F 54321\nstdout F 54322\nstdout F 54322 54323\nstdout F through the name\n"
	if diff := cmp.Diff(want, output(t, c, "p")); diff != "" {
		t.Error(diff)
	}
}

func TestProcessWithTerminal(t *testing.T) {
	c := newClient(t)
	p := shell("p", "test -t 0 && test -t 1 && test -t 2 && echo $TERM; exit 3")
	p.TTY = true
	start(t, c, p)
	if state := awaitExit(t, c, "p"); state.ExitCode != 3 {
		t.Errorf("got %+v", state)
	}
	if text := output(t, c, "p"); text != "stdout F xterm\r\n" {
		t.Errorf("its log is %q", text)
	}
}

func TestShutDownKillsWhatDoesNotEnd(t *testing.T) {
	a := newTestAgent(t)
	c := connectTo(t, a)
	start(t, c, shell("p", "trap '' TERM; echo ready; while :; do sleep 0.01; done"))
	awaitLine(t, c, "p", "ready")
	hurry := make(chan struct{})
	close(hurry)
	a.processes.shutDown(deadline, hurry)
	if state := awaitExit(t, c, "p"); state.ExitCode != 137 {
		t.Errorf("got %+v", state)
	}
	if _, err := c.Start(bounded(t), shell("q", "true")); refusal(err) != http.StatusServiceUnavailable {
		t.Errorf("started another: %v", err)
	}
}
