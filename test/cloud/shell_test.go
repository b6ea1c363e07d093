package cloudtest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/gorilla/websocket"

	"frankenetes.dev/test/machine"
)

// sh runs a script in a container by exec and returns what it printed, on both
// streams, and its exit code.
//
// An exec has no arguments, no exit code and a terminal that repeats what is
// typed. So a shell is told to be quiet and to run another one, whose script
// comes through cat; bytes that no script prints mark where its output begins
// and ends.
func (c *localCloud) sh(group, container, script string) (string, int) {
	c.T.Helper()
	ws := c.exec(group, container, "/bin/sh")
	say(c.T, ws, "stty -echo -opost; printf '\\001'; cat | sh 2>&1; printf '\\001%d\\001' $?; exit\n")
	hear(c.T, ws, 1)
	say(c.T, ws, script+"\n\x04")
	heard := hear(c.T, ws, 2)
	parts := strings.Split(heard, "\x01")
	code, err := strconv.Atoi(parts[len(parts)-2])
	if err != nil {
		c.T.Fatalf("exit code in %q: %v", heard, err)
	}
	return strings.Join(parts[:len(parts)-2], "\x01"), code
}

// exec asks for a command in a container and connects to it, the password said.
func (c *localCloud) exec(group, container, command string) *websocket.Conn {
	c.T.Helper()
	r, err := c.conn.Containers.ExecuteCommand(c.ctx(), resourceGroup, group, container, aci.ContainerExecRequest{
		Command:      &command,
		TerminalSize: &aci.ContainerExecRequestTerminalSize{Rows: to.Ptr[int32](24), Cols: to.Ptr[int32](200)},
	}, nil)
	if err != nil {
		c.T.Fatalf("exec %s in %s/%s: %v", command, group, container, err)
	}
	ws, err := c.dial(*r.WebSocketURI)
	if err != nil {
		c.T.Fatalf("exec %s in %s/%s: %v", command, group, container, err)
	}
	say(c.T, ws, *r.Password)
	return ws
}

// dial connects to a websocket of the cloud; it is closed when the test ends.
func (c *localCloud) dial(uri string) (*websocket.Conn, error) {
	dialer := websocket.Dialer{TLSClientConfig: c.conn.WebSocketTLS()}
	ws, _, err := dialer.DialContext(c.ctx(), uri, nil)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", uri, err)
	}
	c.T.Cleanup(func() { ws.Close() })
	_ = ws.SetReadDeadline(time.Now().Add(machine.Patience))
	return ws, nil
}

func say(t *testing.T, ws *websocket.Conn, words string) {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(words)); err != nil {
		t.Fatal(err)
	}
}

// hear reads until so many marks have been heard. That the connection ends
// before is a failure.
func hear(t *testing.T, ws *websocket.Conn, marks int) string {
	t.Helper()
	var heard strings.Builder
	for strings.Count(heard.String(), "\x01") < marks {
		_, message, err := ws.ReadMessage()
		if err != nil {
			var closed *websocket.CloseError
			if errors.As(err, &closed) {
				err = fmt.Errorf("closed with %d %s", closed.Code, closed.Text)
			}
			t.Fatalf("after %q: %v", heard.String(), err)
		}
		heard.Write(message)
	}
	return heard.String()
}
