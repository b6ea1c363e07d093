package groups

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

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

// unsized is the command that is not told the size of its terminal.
const unsized = "/bin/unsized"

func (echoShell) Exec(_ context.Context, id string, cmd []string, in io.Reader, out, _ io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize) error {
	if cmd[0] == "/no/such" {
		return errors.New("no such file")
	}
	var size remotecommand.TerminalSize
	if cmd[0] != unsized {
		size = <-resize
	}
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

// dial connects, hears the empty message that comes first, and says the first words.
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
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	if kind, first, err := conn.ReadMessage(); kind != websocket.TextMessage || len(first) > 0 || err != nil {
		t.Errorf("the first message is %q, of kind %d: %v", first, kind, err)
	}
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
		kind, data, err := conn.ReadMessage()
		var closed *websocket.CloseError
		if errors.As(err, &closed) {
			return heard.String(), closed.Code
		}
		if err != nil {
			t.Fatal(err)
		}
		if kind != websocket.BinaryMessage {
			t.Errorf("%q came as a message of kind %d", data, kind)
		}
		heard.Write(data)
	}
}

func TestExecAsClientsSpeakIt(t *testing.T) {
	w := newWorld(t)
	execServer(t, w.runtime)
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	at := c.url + groupID(testSub, "rg", "web") + "/containers/WEB/exec?api-version=2023-05-01"
	for body, want := range map[string]string{
		`{"command":"/bin/sh","terminalSize":{"rows":24,"cols":80}}`:        "[/bin/sh] tty=true 80x24",
		`{"command":"/bin/unsized","terminalSize":{"rows":0,"cols":0}}`:     "[/bin/unsized] tty=true 0x0", // az, of an unknown size
		`{"command":"/bin/unsized","terminalSize":null}`:                    "[/bin/unsized] tty=true 0x0",
		`{"command":"/bin/unsized"}`:                                        "[/bin/unsized] tty=true 0x0",
		`{"Command":" ls  -l /tmp ","terminalsize":{"Rows":60,"cols":120}}`: "[ls -l /tmp] tty=true 120x60", // the virtual kubelet joins with blanks
	} {
		var answer struct{ WebSocketURI, Password string }
		if status, text := c.send(t, "POST", at, body); status != 200 || json.Unmarshal([]byte(text), &answer) != nil {
			t.Fatalf("%s: %d %s", body, status, text)
		}
		conn, err := c.dial(t, answer.WebSocketURI, answer.Password, "as text\n")
		if err != nil {
			t.Fatal(err)
		}
		for _, typed := range "binary\nexit\n" { // compose-cli sends every byte by itself
			if err := conn.WriteMessage(websocket.BinaryMessage, []byte(string(typed))); err != nil {
				t.Fatal(err)
			}
		}
		if heard, code := hear(t, conn); heard != "container "+want+"\nas text\nbinary\n" || code != websocket.CloseNormalClosure {
			t.Errorf("%s: heard %q, closed with %d", body, heard, code)
		}
	}
	uri, password := c.exec(t, "/no/such")
	conn, err := c.dial(t, uri, password)
	if err != nil {
		t.Fatal(err)
	}
	if heard, code := hear(t, conn); !strings.Contains(heard, "no such file") || code != websocket.CloseNormalClosure {
		t.Errorf("of a command that is not there: %q, closed with %d", heard, code)
	}
	for _, body := range []string{``, `{}`, `{"command":" \t"}`, `{"command":"a\u0000b"}`, `{"command":["ls"]}`, `{"command":"ls","terminalSize":{"rows":-1}}`} {
		if status, text := c.send(t, "POST", at, body); status != 400 {
			t.Errorf("%s: %d %s", body, status, text)
		}
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
