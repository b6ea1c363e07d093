package groups

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/embedded/arm"
)

// ExecPath is where the exec endpoint is served, beside ARM.
const ExecPath = "/exec/"

// execution is a command in a run of a container.
type execution struct {
	container string // the runtime's id
	command   []string
	size      terminalSize
}

type terminalSize struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
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
	switch {
	case len(command) == 0:
		return nil, invalid("InvalidCommand", "The command to execute is empty.")
	case strings.ContainsRune(body.Command, 0):
		return nil, invalid("InvalidCommand", "The command to execute contains a NUL.")
	}
	of, err := s.runningContainer(r)
	if err != nil {
		return nil, err
	}
	return s.execs.grant(r, execution{container: of.id, command: command, size: body.TerminalSize}), nil
}

// run is a run of a container.
type run struct {
	deployment string // its uid
	container  string
	attempt    uint32
	id         string // the runtime's
}

// runningContainer returns the run, which must not have ended, of the container
// that a request is about.
func (s *Service) runningContainer(r *arm.Request) (run, error) {
	g, err := s.lookup(r)
	if err != nil {
		return run{}, err
	}
	g.mu.Lock()
	uid, state, spec, isStopped := g.record.UID, g.snapshot(), g.record.Group, g.record.Stopped
	g.mu.Unlock()
	name, ok := containerOf(&spec, r.Var("c"))
	if !ok {
		return run{}, containerNotFound(r)
	}
	p := state.Containers[name]
	switch {
	case isStopped:
		return run{}, arm.Conflict("ContainerGroupStopped", "Container Group '%s' in resource group '%s' is stopped.", spec.Name, r.Var("rg"))
	case p.Current.State != running:
		return run{}, arm.Conflict("ContainerNotRunning", "The container '%s' in container group '%s' is not running.", name, spec.Name)
	}
	return run{deployment: uid, container: name, attempt: p.Attempt, id: p.ID}, nil
}

// ExecHandler serves the websockets of exec, below ExecPath. What it asks for is
// the password, which comes as the first message.
func (s *Service) ExecHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, ok := s.execs.take(r)
		if !ok {
			http.Error(w, "no such exec, or it was used or not used in time", http.StatusNotFound)
			return
		}
		defer s.execs.running.Done()
		s.execs.speak(w, r, func(ctx context.Context, conn *websocket.Conn) { s.converse(ctx, conn, t) })
	})
}

// converse speaks with one client: password, then the terminal both ways.
func (s *Service) converse(ctx context.Context, conn *websocket.Conn, t ticket[execution]) {
	// An empty message comes first, as from Azure: who takes it for the end of
	// the output had better find out here.
	_ = conn.WriteMessage(websocket.TextMessage, nil)
	_ = conn.SetReadDeadline(t.until)
	_, said, err := conn.ReadMessage()
	if err != nil || !t.opensTo(said) {
		closing(conn, websocket.ClosePolicyViolation, "wrong password")
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := t.purpose
	r, err := s.engine.cri.Exec(ctx, &runtimeapi.ExecRequest{ContainerId: e.container, Cmd: e.command, Tty: true, Stdin: true, Stdout: true})
	if err == nil {
		err = stream(ctx, r.Url, conn, e.size)
	}
	if err != nil {
		s.options.Log.Debug("exec ended", "error", err)
	}
	closing(conn, websocket.CloseNormalClosure, "")
}
