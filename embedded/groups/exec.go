package groups

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/embedded/arm"
)

const (
	// ExecPath is where the exec endpoint is served, beside ARM.
	ExecPath = "/exec/"
	// execLife is how long a client has to use an exec's password.
	execLife = time.Minute
)

// execs are the commands that were asked for and not yet connected to.
type execs struct {
	mu      sync.Mutex
	pending map[string]pendingExec
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// pendingExec is good for one connection.
type pendingExec struct {
	password  string
	container string // the runtime's id
	command   []string
	size      terminalSize
	until     time.Time
}

type terminalSize struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}

func newExecs() *execs {
	e := &execs{pending: map[string]pendingExec{}}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// close ends every command and waits for that.
func (e *execs) close() {
	e.mu.Lock()
	e.cancel()
	e.mu.Unlock()
	e.running.Wait()
}

// add keeps a command until its client comes, and forgets those that did not.
func (e *execs) add(p pendingExec) (id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, old := range e.pending {
		if time.Now().After(old.until) {
			delete(e.pending, id)
		}
	}
	id = secret()
	e.pending[id] = p
	return id
}

// take returns a command that is still good, and forgets it. close waits for
// the caller, until it says that it is done with running.
func (e *execs) take(id string) (pendingExec, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, ok := e.pending[id]
	delete(e.pending, id)
	if !ok || e.ctx.Err() != nil || time.Now().After(p.until) {
		return p, false
	}
	e.running.Add(1)
	return p, true
}

func secret() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// exec prepares a command in a running container and says where to connect.
func (s *Service) exec(_ context.Context, r *arm.Request) (*arm.Response, error) {
	var body struct {
		Command      string       `json:"command"`
		TerminalSize terminalSize `json:"terminalSize"`
	}
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	command := strings.Fields(body.Command)
	if len(command) == 0 {
		return nil, invalid("InvalidCommand", "The command to execute is empty.")
	}
	g, err := s.lookup(r)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	state, spec, isStopped := g.snapshot(), g.record.Group, g.record.Stopped
	g.mu.Unlock()
	name, ok := containerOf(&spec, r.Var("c"))
	if !ok {
		return nil, containerNotFound(r)
	}
	p := state.Containers[name]
	switch {
	case isStopped:
		return nil, arm.Conflict("ContainerGroupStopped", "Container Group '%s' in resource group '%s' is stopped.", spec.Name, r.Var("rg"))
	case p.Current.State != running:
		return nil, arm.Conflict("ContainerNotRunning", "The container '%s' in container group '%s' is not running.", name, spec.Name)
	}
	password := secret()
	id := s.execs.add(pendingExec{password: password, container: p.ID, command: command, size: body.TerminalSize, until: time.Now().Add(execLife)})
	return &arm.Response{Status: http.StatusOK, Body: map[string]string{
		"webSocketUri": "wss" + strings.TrimPrefix(r.BaseURL, "https") + ExecPath + id,
		"password":     password,
	}}, nil
}

// ExecHandler serves the websockets of exec, below ExecPath. The password,
// which comes as the first message, is what it asks for; where the page with
// the client was loaded from says nothing.
func (s *Service) ExecHandler() http.Handler {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := s.execs.take(strings.TrimPrefix(r.URL.Path, ExecPath))
		if !ok {
			http.Error(w, "no such exec, or it was used or not used in time", http.StatusNotFound)
			return
		}
		defer s.execs.running.Done()
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return // the upgrader has answered
		}
		defer conn.Close()
		// A client that says nothing, or reads nothing, holds up no end.
		defer context.AfterFunc(s.execs.ctx, func() { conn.Close() })()
		s.converse(conn, p)
	})
}

// converse speaks with one client: password, then the terminal both ways.
func (s *Service) converse(conn *websocket.Conn, p pendingExec) {
	_ = conn.SetReadDeadline(p.until)
	_, said, err := conn.ReadMessage()
	if err != nil || subtle.ConstantTimeCompare(said, []byte(p.password)) != 1 {
		closing(conn, websocket.ClosePolicyViolation, "wrong password")
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(s.execs.ctx)
	defer cancel()
	r, err := s.engine.cri.Exec(ctx, &runtimeapi.ExecRequest{ContainerId: p.container, Cmd: p.command, Tty: true, Stdin: true, Stdout: true})
	if err == nil {
		err = stream(ctx, r.Url, conn, p.size)
	}
	if err != nil {
		s.options.Log.Debug("exec ended", "error", err)
	}
	closing(conn, websocket.CloseNormalClosure, "")
}

func closing(conn *websocket.Conn, code int, text string) {
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), time.Now().Add(time.Second))
}
