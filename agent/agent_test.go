package agent

//lint:file-ignore SA1019 net/http serves listeners and dials addresses; here it is the dialler that serves, on the one connection.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"frankenetes.dev/agent/cgroup"
	"frankenetes.dev/agent/process"
	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/agent/rootless"
	"golang.org/x/net/http2"
)

// children reaps for all tests, as there can be only one who does.
var children = process.NewReaper()

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && rootless.IsStage(os.Args[1]) { // the test program was started again, as an agent is
		if err := Stages(slog.Default()).Run(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if err := process.Adopt(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		children.Run(ctx)
	}()
	code := m.Run()
	cancel()
	<-done
	os.Exit(code)
}

// deadline bounds every test that waits; it is never reached if all is well.
const deadline = 30 * time.Second

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

// newTestAgent is an agent that has enrolled, with directories of its own.
func newTestAgent(t *testing.T) *agent {
	t.Helper()
	root := t.TempDir()
	if err := Install(root); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	a := &agent{cfg: Config{Root: root, Volumes: t.TempDir(), Version: "v1", Reaper: children}, log: log, cgroup: cgroup.Own()}
	a.trial = a.try
	a.volumes = newPodVolumes(a.cfg.dirs(), children)
	t.Cleanup(a.volumes.close)
	a.processes = newSupervisor(children, filepath.Join(root, "log", "web"), a.cfg.dirs(), a.cgroup, log)
	t.Cleanup(func() {
		for _, r := range a.processes.order {
			_ = r.child.Signal(9)
		}
		a.processes.shutDown(deadline, nil)
		a.processes.close()
	})
	return a
}

// connect gives a client for an agent, over one connection as the node has.
func connectTo(t *testing.T, a *agent) *protocol.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled := make(chan net.Conn, 1)
	go func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
		}
		dialled <- c
	}()
	ours, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	theirs := <-dialled
	served := make(chan struct{})
	go func() {
		defer close(served)
		server := &http2.Server{MaxUploadBufferPerStream: streamWindow, MaxUploadBufferPerConnection: connWindow}
		server.ServeConn(theirs, &http2.ServeConnOpts{Handler: a.handler(), BaseConfig: &http.Server{}})
	}()
	conn, err := (&http2.Transport{}).NewClientConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		<-served
		a.requests.settle(deadline)
	})
	return protocol.NewClient(conn, served)
}

func newClient(t *testing.T) *protocol.Client {
	t.Helper()
	return connectTo(t, newTestAgent(t))
}

// me is the user who runs the test.
func me() protocol.User {
	uid, gid := int64(os.Geteuid()), int64(os.Getegid())
	return protocol.User{UID: &uid, GID: &gid}
}

// shell is a process that runs a script.
func shell(id, script string) protocol.Process {
	return protocol.Process{
		ID: id, Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/", User: me(), Exact: room,
	}
}

// room is what processes of tests have by themselves, see TestInNamespaces.
var room *protocol.Exact

func start(t *testing.T, c *protocol.Client, p protocol.Process) protocol.State {
	t.Helper()
	s, err := c.Start(bounded(t), p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// awaitExit waits for the end of a process and returns how it was.
func awaitExit(t *testing.T, c *protocol.Client, id string) protocol.State {
	t.Helper()
	ctx, cancel := context.WithCancel(bounded(t))
	var final protocol.State
	err := c.Events(ctx, func(s protocol.State) {
		if s.ID == id && s.Phase == protocol.Exited {
			final = s
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("await the end of %s: %v", id, err)
	}
	return final
}

// output is the text of a process's log, without times, once it has ended.
func output(t *testing.T, c *protocol.Client, id string) string {
	t.Helper()
	r, err := c.Logs(bounded(t), id, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for line := range strings.Lines(string(data)) {
		_, rest, ok := strings.Cut(line, " ")
		if !ok {
			t.Errorf("line %q has no time", line)
		}
		lines.WriteString(rest)
	}
	return lines.String()
}

// runScript runs a script to its end and returns how it ended and its log.
func runScript(t *testing.T, c *protocol.Client, script string) (protocol.State, string) {
	t.Helper()
	start(t, c, shell("script", script))
	text := output(t, c, "script")
	state := awaitExit(t, c, "script")
	if err := c.Remove(bounded(t), "script"); err != nil {
		t.Fatal(err)
	}
	return state, text
}

// refusal is the status with which the agent refused, or 0.
func refusal(err error) int {
	var e *protocol.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}
