package groups

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/gorilla/websocket"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// echoShell is a command that says what it is and repeats every line until
// "exit". The protocol around it is the one that containerd speaks.
type echoShell struct{ streaming.Runtime }

func (echoShell) Exec(_ context.Context, id string, cmd []string, in io.Reader, out, _ io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	size := <-resize
	fmt.Fprintf(out, "%s %v tty=%v %dx%d\n", strings.TrimRight(id, "0123456789"), cmd, tty, size.Width, size.Height)
	for lines := bufio.NewScanner(in); lines.Scan() && lines.Text() != "exit"; {
		fmt.Fprintln(out, lines.Text())
	}
	return nil
}

// execServer gives the fake runtime a streaming server.
func execServer(t *testing.T, f *fakeRuntime) {
	server, err := streaming.NewServer(streaming.DefaultConfig, echoShell{})
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(server)
	t.Cleanup(front.Close)
	f.exec = func(r *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error) {
		answer, err := server.GetExec(r)
		if err != nil {
			return nil, err
		}
		answer.Url = front.URL + answer.Url[strings.Index(answer.Url, "/exec/"):]
		return answer, nil
	}
}

func (c *client) exec(t *testing.T, command string) (uri, password string) {
	t.Helper()
	r, err := c.insides.ExecuteCommand(t.Context(), "rg", "web", "web", aci.ContainerExecRequest{
		Command: to.Ptr(command), TerminalSize: &aci.ContainerExecRequestTerminalSize{Rows: to.Ptr[int32](24), Cols: to.Ptr[int32](80)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return *r.WebSocketURI, *r.Password
}

// dial connects and says the first words.
func (c *client) dial(t *testing.T, uri string, words ...string) (*websocket.Conn, error) {
	t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: c.http.Transport.(*http.Transport).TLSClientConfig}
	conn, answer, err := dialer.DialContext(t.Context(), uri, nil)
	if answer != nil && answer.Body != nil {
		answer.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	for _, w := range words {
		if err := conn.WriteMessage(websocket.TextMessage, []byte(w)); err != nil {
			return nil, err
		}
	}
	return conn, nil
}

// hear reads until the connection is closed, and returns how it was.
func hear(t *testing.T, conn *websocket.Conn) (string, int) {
	t.Helper()
	var heard strings.Builder
	for {
		_, data, err := conn.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			return heard.String(), closed.Code
		}
		if err != nil {
			t.Fatal(err)
		}
		heard.Write(data)
	}
}

func TestExec(t *testing.T) {
	w := newWorld(t)
	execServer(t, w.runtime)
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))

	uri, password := c.exec(t, "/bin/sh -l")
	conn, err := c.dial(t, uri, password, "hello\n", "exit\n")
	if err != nil {
		t.Fatal(err)
	}
	heard, code := hear(t, conn)
	if heard != "container [/bin/sh -l] tty=true 80x24\nhello\n" || code != websocket.CloseNormalClosure {
		t.Errorf("heard %q, closed with %d", heard, code)
	}
	if _, err := c.dial(t, uri, password); err == nil {
		t.Error("the password was good twice")
	}

	uri, _ = c.exec(t, "/bin/sh")
	if conn, err = c.dial(t, uri, "guess"); err != nil {
		t.Fatal(err)
	}
	if heard, code := hear(t, conn); heard != "" || code != websocket.ClosePolicyViolation {
		t.Errorf("with a wrong password: heard %q, closed with %d", heard, code)
	}

	uri, _ = c.exec(t, "/bin/sh")
	if conn, err = c.dial(t, uri); err != nil {
		t.Fatal(err)
	}
	defer func() { // the service has ended: so has the client that never said its password
		_, _, err := conn.ReadMessage()
		if err == nil || websocket.IsCloseError(err, websocket.ClosePolicyViolation) {
			t.Errorf("its password was waited for: %v", err)
		}
	}()
	defer c.service.execs.close()

	if _, err := c.groups.Stop(t.Context(), "rg", "web", nil); err != nil {
		t.Fatal(err)
	}
	_, err = c.insides.ExecuteCommand(t.Context(), "rg", "web", "web", aci.ContainerExecRequest{Command: to.Ptr("/bin/sh")}, nil)
	if code := refused(t, err); code != "ContainerGroupStopped" {
		t.Errorf("exec in a stopped group: %s", code)
	}
}
