package agents

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"frankenetes.dev/agent/protocol"
	"github.com/google/go-cmp/cmp"
)

func shell(id, script string) protocol.Process {
	uid, gid := int64(os.Geteuid()), int64(os.Getegid())
	return protocol.Process{
		ID: id, Args: []string{"/bin/sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"},
		User: protocol.User{UID: &uid, GID: &gid},
	}
}

// awaitExit waits for the end of a process.
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
		t.Fatal(err)
	}
	return final
}

func TestProcessesOutliveConnectionsAndNodes(t *testing.T) {
	first := newNode(t)
	runAgent(t, first, first.issue(t, web))
	c := first.await(t, web)
	fifo := t.TempDir() + "/fifo"
	started, err := c.Start(bounded(t), shell("p", "echo before; mkfifo "+fifo+"; echo there; read x < "+fifo+"; echo after $x; exit 9"))
	if err != nil {
		t.Fatal(err)
	}
	follow, err := c.Logs(bounded(t), "p", 0, true)
	if err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	for buf := make([]byte, 100); !strings.Contains(seen.String(), "there\n"); {
		n, err := follow.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		seen.Write(buf[:n])
	}
	first.stop()
	<-c.Done()
	if _, err := c.Hello(bounded(t)); err == nil {
		t.Error("a connection that has ended still answers")
	}
	if _, err := io.ReadAll(follow); err == nil {
		t.Error("a log that was cut off seems to have ended")
	}
	if err := os.WriteFile(fifo, []byte("all\n"), 0); err != nil { // while nobody listens
		t.Fatal(err)
	}

	// The next node knows nothing but the authority.
	second := serve(t, first.authority, first.addr, Options{})
	c = second.await(t, web)
	state := awaitExit(t, c, "p")
	if state.ExitCode != 9 || state.PID != started.PID || !state.StartedAt.Equal(started.StartedAt) {
		t.Errorf("it started as %+v and ended as %+v", started, state)
	}
	rest, err := c.Logs(bounded(t), "p", int64(seen.Len()), true)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(rest)
	if err != nil || strings.Count(string(data), "\n") != 1 || !strings.HasSuffix(string(data), " stdout F after all\n") {
		t.Errorf("the log goes on with %q (%v)", data, err)
	}
}

func TestForgottenGroupsStayAway(t *testing.T) {
	n := newNode(t)
	other := protocol.ID{Group: "other", Container: "web"}
	runAgent(t, n, n.issue(t, web))
	runAgent(t, n, n.issue(t, other))
	c, kept := n.await(t, web), n.await(t, other)
	_, cert := enrol(t, n, nil, "Bearer "+n.issue(t, web))
	n.Forget(web.Group)
	<-c.Done()
	// Its certificate is good, and yet it is sent away.
	if err := dial(t, n, cert, nil); err == nil {
		t.Error("a forgotten group was let in")
	}
	if _, ok := n.Connected(web); ok {
		t.Error("a forgotten group is connected")
	}
	if _, err := kept.Hello(bounded(t)); err != nil {
		t.Errorf("the other group: %v", err)
	}
	// Until it is wanted again.
	n.issue(t, web)
	n.await(t, web)
}

func TestNewConnectionReplacesTheOld(t *testing.T) {
	var mu sync.Mutex
	var calls []string
	done := make(chan struct{}, 10)
	note := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, text)
	}
	n := serve(t, newAuthority(t), "127.0.0.1:0", Options{
		OnConnect: func(id protocol.ID, c *protocol.Client) {
			note("connect " + id.Container)
			<-c.Done() // as one who follows events for as long as it can
			note("end " + id.Container)
		},
		OnDisconnect: func(id protocol.ID) {
			note("disconnect " + id.Container)
			done <- struct{}{}
		},
	})
	stopOld := runAgent(t, n, n.issue(t, web))
	old := n.await(t, web)
	stopNew := runAgent(t, n, n.issue(t, web)) // the same container, started once more
	<-old.Done()
	if err := stopOld(); err != nil { // so that it does not come back in turn
		t.Error(err)
	}
	<-done
	fresh := n.await(t, web)
	if _, err := fresh.Hello(bounded(t)); err != nil {
		t.Error(err)
	}
	if err := stopNew(); err != nil {
		t.Error(err)
	}
	n.stop()
	mu.Lock()
	defer mu.Unlock()
	for i := 0; i < len(calls); i += 3 {
		if diff := cmp.Diff([]string{"connect web", "end web", "disconnect web"}, calls[i:min(i+3, len(calls))]); diff != "" {
			t.Errorf("calls are out of order: %v", calls)
		}
	}
	if len(calls) < 6 {
		t.Errorf("only %v", calls)
	}
}

func TestAgentEndsItsProcessesAndSaysSo(t *testing.T) {
	n := newNode(t)
	stop := runAgent(t, n, n.issue(t, web))
	c := n.await(t, web)
	if _, err := c.Start(bounded(t), shell("p", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done")); err != nil {
		t.Fatal(err)
	}
	log, err := c.Logs(bounded(t), "p", 0, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.Read(make([]byte, 1)); err != nil { // it is ready
		t.Fatal(err)
	}
	// The node listens when the agent is asked to end.
	var ended sync.WaitGroup
	var final protocol.State
	ctx, cancel := context.WithCancel(bounded(t))
	_ = c.Events(ctx, func(s protocol.State) {
		if s.Phase == protocol.Exited {
			final = s
			cancel()
			return
		}
		ended.Go(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	})
	if final.ExitCode != 3 {
		t.Errorf("got %+v", final)
	}
	if data, err := io.ReadAll(log); err != nil || !strings.HasSuffix(string(data), " bye\n") {
		t.Errorf("its log ends with %.80q (%v)", data, err)
	}
	ended.Wait()
}

func TestEnrolmentSpeaksOnlyOfEnrolment(t *testing.T) {
	n := newNode(t)
	transport := &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true}
	transport.TLSClientConfig = &tls.Config{RootCAs: n.authority.Pool()}
	for _, path := range []string{"/", "/v1/hello", "/v1/enrol/more", "/debug/pprof/"} {
		req, err := http.NewRequestWithContext(bounded(t), "POST", "https://"+n.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
