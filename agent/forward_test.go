package agent

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"frankenetes.dev/agent/protocol"
)

// tcpPair is a connection with both its ends.
func tcpPair(t *testing.T) (*net.TCPConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// listen answers one connection, on the given loopback address.
func listen(t *testing.T, host string, serve func(*net.TCPConn)) int32 {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Skipf("no %s here: %v", host, err)
	}
	var server sync.WaitGroup
	server.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		serve(c.(*net.TCPConn))
	})
	t.Cleanup(func() {
		l.Close()
		server.Wait()
	})
	return int32(l.Addr().(*net.TCPAddr).Port)
}

func TestPortForward(t *testing.T) {
	c := newClient(t)
	for _, host := range []string{"127.0.0.1", "::1"} {
		t.Run(host, func(t *testing.T) {
			// The server answers once it has read all, so each side ends on its own.
			port := listen(t, host, func(conn *net.TCPConn) {
				data, err := io.ReadAll(conn)
				if err != nil {
					t.Error(err)
				}
				_, _ = conn.Write([]byte(strings.ToUpper(string(data))))
			})
			user, stream := tcpPair(t)
			var forwarding sync.WaitGroup
			forwarding.Go(func() {
				if err := c.PortForward(bounded(t), port, stream); err != nil {
					t.Error(err)
				}
			})
			if _, err := user.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			if err := user.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			if data, err := io.ReadAll(user); string(data) != "HELLO" || err != nil {
				t.Errorf("got %q, %v", data, err)
			}
			forwarding.Wait()
		})
	}
}

func TestPortForwardWhenTheServerEndsFirst(t *testing.T) {
	c := newClient(t)
	heard := make(chan string, 1)
	port := listen(t, "127.0.0.1", func(conn *net.TCPConn) {
		_, _ = conn.Write([]byte("welcome"))
		_ = conn.CloseWrite()
		data, _ := io.ReadAll(conn)
		heard <- string(data)
	})
	user, stream := tcpPair(t)
	var forwarding sync.WaitGroup
	forwarding.Go(func() {
		if err := c.PortForward(bounded(t), port, stream); err != nil {
			t.Error(err)
		}
	})
	if data, err := io.ReadAll(user); string(data) != "welcome" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	if _, err := user.Write([]byte("still here")); err != nil {
		t.Fatal(err)
	}
	if err := user.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "still here" {
		t.Errorf("server heard %q", got)
	}
	forwarding.Wait()
}

func TestPortForwardToNobody(t *testing.T) {
	c := newClient(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := int32(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	_, stream := tcpPair(t)
	if err := c.PortForward(bounded(t), port, stream); refusal(err) != http.StatusBadGateway {
		t.Errorf("got %v", err)
	}
	_, stream = tcpPair(t)
	if err := c.PortForward(bounded(t), 0, stream); refusal(err) != http.StatusBadRequest {
		t.Errorf("port 0: %v", err)
	}
}

func TestCancellingPortForwardClosesTheConnection(t *testing.T) {
	c := newClient(t)
	gone := make(chan struct{})
	port := listen(t, "127.0.0.1", func(conn *net.TCPConn) {
		_, _ = conn.Write([]byte("x"))
		_, _ = io.Copy(io.Discard, conn)
		close(gone)
	})
	user, stream := tcpPair(t)
	ctx, cancel := context.WithCancel(bounded(t))
	var forwarding sync.WaitGroup
	forwarding.Go(func() {
		if err := c.PortForward(ctx, port, stream); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	if _, err := io.ReadFull(user, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	forwarding.Wait()
	<-gone
}

func TestPutVolume(t *testing.T) {
	a := newTestAgent(t)
	c := connectTo(t, a)
	dir := filepath.Join(a.cfg.Volumes, "config")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	v := protocol.Volume{Mode: 0o755, Atomic: true, Files: []protocol.File{{
		Path: "color", Data: []byte("red"), Mode: 0o644, UID: int64(os.Geteuid()), GID: int64(os.Getegid()),
	}}}
	if err := c.PutVolume(bounded(t), "config", v); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "color")); string(data) != "red" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	if data, err := c.VolumeFile(bounded(t), "config", "color"); string(data) != "red" || err != nil {
		t.Errorf("read back: %q, %v", data, err)
	}
	if _, err := c.VolumeFile(bounded(t), "config", "none"); refusal(err) != http.StatusNotFound {
		t.Errorf("a file that is not there: %v", err)
	}
	for _, name := range []string{"other", "..", ".", "a/b", "../" + filepath.Base(a.cfg.Volumes) + "/config"} {
		if err := c.PutVolume(bounded(t), name, v); refusal(err) == 0 {
			t.Errorf("volume %q: %v", name, err)
		}
		if _, err := c.VolumeFile(bounded(t), name, "color"); refusal(err) == 0 {
			t.Errorf("a file of volume %q: %v", name, err)
		}
	}
}
