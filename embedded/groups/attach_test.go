package groups

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func (c *client) attach(t *testing.T) (uri, password string) {
	t.Helper()
	r, err := c.insides.Attach(t.Context(), "rg", "web", "web", nil)
	if err != nil {
		t.Fatal(err)
	}
	return *r.WebSocketURI, *r.Password
}

// connect opens an attach's websocket. Refused, it returns nil and the status.
func (c *client) connect(t *testing.T, uri string, header http.Header) (*websocket.Conn, int) {
	t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: c.http.Transport.(*http.Transport).TLSClientConfig}
	conn, answer, err := dialer.DialContext(t.Context(), uri, header)
	if answer == nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if err == nil {
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	}
	return conn, answer.StatusCode
}

func (c *client) listen(t *testing.T) *websocket.Conn {
	t.Helper()
	uri, password := c.attach(t)
	conn, status := c.connect(t, uri, http.Header{"Authorization": {password}})
	if conn == nil {
		t.Fatalf("attach: %d", status)
	}
	return conn
}

// expect reads until so much was heard, which must be what is wanted.
func expect(t *testing.T, conn *websocket.Conn, want string) {
	t.Helper()
	var heard strings.Builder
	for heard.Len() < len(want) {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			t.Fatalf("after %q: %v", heard.String(), err)
		}
		if kind != websocket.BinaryMessage {
			t.Errorf("a message of kind %d", kind)
		}
		heard.Write(data)
	}
	if heard.String() != want {
		t.Errorf("heard %q, want %q", heard.String(), want)
	}
}

func TestAttachHearsWhatComesFromNowOn(t *testing.T) {
	w, c, log := logged(t)
	log.write("stdout F before")
	first := c.listen(t)
	log.write("stdout F one", "stderr F two", "stdout P half a ")
	expect(t, first, "one\ntwo\nhalf a ")
	second := c.listen(t)
	log.write("stdout F line")
	expect(t, first, "line\n")
	expect(t, second, "line\n")

	// What a client says is passed over.
	if err := first.WriteMessage(websocket.TextMessage, []byte("anyone there?")); err != nil {
		t.Fatal(err)
	}
	// A client that goes leaves the others alone.
	second.Close()

	// The last words come, however late the log has them, and then the end.
	w.runtime.finish(t, "web", 0, "")
	log.write("stdout P farewell")
	log.Close()
	if heard, code := hear(t, first); heard != "farewell" || code != websocket.CloseNormalClosure {
		t.Errorf("at the end: %q, closed with %d", heard, code)
	}
}

func TestAttachEndsWithTheRunWhateverItsLogDoes(t *testing.T) {
	w, c, log := logged(t)
	conn := c.listen(t)
	log.write("stdout F one")
	w.runtime.finish(t, "web", 1, "") // and the log stays open
	if heard, code := hear(t, conn); heard != "one\n" || code != websocket.CloseNormalClosure {
		t.Errorf("heard %q, closed with %d", heard, code)
	}
}

func TestAttachFollowsALogThatIsPutAside(t *testing.T) {
	_, c, log := logged(t)
	old, path := log, log.Name()
	if err := os.WriteFile(path+rotated, []byte("2026-01-01T00:00:00Z stdout F long ago\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	conn := c.listen(t)
	putAside := func() {
		t.Helper()
		if err := os.Rename(path, path+rotated); err != nil {
			t.Fatal(err)
		}
	}
	log.write("stdout F one")
	expect(t, conn, "one\n")
	putAside()
	log.write("stdout F two") // not yet told to go on elsewhere
	log = c.openLog(t)
	log.write("stdout F three")
	expect(t, conn, "two\nthree\n")
	old.write("stdout F late")
	expect(t, conn, "late\n")
	// Two at once, as for a client that reads slowly.
	log.write("stdout F four")
	putAside()
	log = c.openLog(t)
	log.write("stdout F five")
	expect(t, conn, "four\nfive\n")
}

func TestAttachWantsThePasswordInItsHeader(t *testing.T) {
	_, c, _ := logged(t)
	for name, change := range map[string]func(uri, password string) (string, http.Header){
		"none":        func(uri, _ string) (string, http.Header) { return uri, nil },
		"wrong":       func(uri, p string) (string, http.Header) { return uri, http.Header{"Authorization": {p + "0"}} },
		"empty":       func(uri, _ string) (string, http.Header) { return uri, http.Header{"Authorization": {""}} },
		"a token":     func(uri, p string) (string, http.Header) { return uri, http.Header{"Authorization": {"Bearer " + p}} },
		"in the path": func(uri, p string) (string, http.Header) { return uri + "/" + p, nil },
		"of another": func(uri, _ string) (string, http.Header) {
			_, other := c.attach(t)
			return uri, http.Header{"Authorization": {other}}
		},
		"nowhere": func(uri, p string) (string, http.Header) { return uri + "0", http.Header{"Authorization": {p}} },
		"of an exec": func(uri, p string) (string, http.Header) {
			execURI, password := c.exec(t, "/bin/sh")
			return strings.Replace(execURI, ExecPath, AttachPath, 1), http.Header{"Authorization": {password}}
		},
		"used": func(uri, p string) (string, http.Header) {
			header := http.Header{"Authorization": {p}}
			if conn, status := c.connect(t, uri, header); conn == nil {
				t.Errorf("the first time: %d", status)
			}
			return uri, header
		},
		"late": func(uri, p string) (string, http.Header) {
			for id, ticket := range c.service.attachments.pending {
				ticket.until = time.Now()
				c.service.attachments.pending[id] = ticket
			}
			return uri, http.Header{"Authorization": {p}}
		},
	} {
		uri, header := change(c.attach(t))
		if conn, status := c.connect(t, uri, header); conn != nil || status != http.StatusUnauthorized {
			t.Errorf("password %s: %d", name, status)
		}
	}
}

func TestOnlyWhatRunsIsAttachedTo(t *testing.T) {
	w, c, _ := logged(t)
	refuse := func(container, want string) {
		t.Helper()
		_, err := c.insides.Attach(t.Context(), "rg", "web", container, nil)
		if code := refused(t, err); code != want {
			t.Errorf("attach to %s: %s, want %s", container, code, want)
		}
	}
	refuse("nobody", "ContainerNotFound")
	uri, password := c.attach(t)
	if _, err := c.groups.Stop(t.Context(), "rg", "web", nil); err != nil {
		t.Fatal(err)
	}
	refuse("web", "ContainerGroupStopped")
	if conn, status := c.connect(t, uri, http.Header{"Authorization": {password}}); conn != nil || status != http.StatusGone {
		t.Errorf("attach to what was stopped meanwhile: %d", status)
	}
	w.runtime.mu.Lock()
	w.runtime.script["short"] = 0
	w.runtime.mu.Unlock()
	c.create(t, "web", sdkGroup(sdkContainer("web"), sdkContainer("short")))
	refuse("short", "ContainerNotRunning")
}

func TestAttachEndsWithTheService(t *testing.T) {
	_, c, _ := logged(t)
	conn := c.listen(t)
	c.service.attachments.close()
	if _, _, err := conn.ReadMessage(); err == nil {
		t.Error("something was heard after the end")
	}
	uri, password := c.attach(t)
	if conn, status := c.connect(t, uri, http.Header{"Authorization": {password}}); conn != nil || status != http.StatusUnauthorized {
		t.Errorf("attach after the end: %d", status)
	}
}
