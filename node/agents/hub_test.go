package agents

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"frankenetes.dev/agent"
	"frankenetes.dev/agent/process"
	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/pki"
)

// children reaps for all agents of the tests, as there can be only one who does.
var children = process.NewReaper()

func TestMain(m *testing.M) {
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

// deadline bounds every wait; it is never reached if all is well.
const deadline = 30 * time.Second

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func newAuthority(t *testing.T) *pki.Authority {
	t.Helper()
	a, err := pki.NewAuthority("agents")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// testNode is a node's endpoint, being served.
type testNode struct {
	*Hub
	authority *pki.Authority
	addr      string
	// stop ends Serve and waits for it.
	stop func()
}

// serve starts a node at an address. Options may have callbacks.
func serve(t *testing.T, authority *pki.Authority, addr string, opts Options) *testNode {
	t.Helper()
	pair, err := authority.Issue(pki.Leaf{CommonName: "node", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Server: true})
	if err != nil {
		t.Fatal(err)
	}
	if opts.Server, err = pair.TLS(); err != nil {
		t.Fatal(err)
	}
	opts.Authority = authority
	opts.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	n := &testNode{Hub: New(opts), authority: authority, addr: l.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := n.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	n.stop = func() {
		cancel()
		serving.Wait()
	}
	t.Cleanup(n.stop)
	return n
}

func newNode(t *testing.T) *testNode {
	return serve(t, newAuthority(t), "127.0.0.1:0", Options{})
}

func (n *testNode) issue(t *testing.T, id protocol.ID) string {
	t.Helper()
	token, err := n.Issue(id)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (n *testNode) await(t *testing.T, id protocol.ID) *protocol.Client {
	t.Helper()
	c, err := n.Await(bounded(t), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// runAgent runs an agent until the test ends or the returned function is
// called; that returns how it ended.
func runAgent(t *testing.T, n *testNode, token string) (stop func() error) {
	t.Helper()
	root := t.TempDir()
	if err := agent.Install(root); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- agent.Run(ctx, agent.Config{
			Node: n.addr, Token: token, Authority: n.authority.CertPEM(), Root: root, Volumes: root, Reaper: children,
			Log: slog.New(slog.NewTextHandler(t.Output(), nil)).With("who", "agent"),
		})
	}()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}

var web = protocol.ID{Group: "shop-1234", Container: "web"}

func TestAgentEnrolsAndIsThere(t *testing.T) {
	n := newNode(t)
	if _, ok := n.Connected(web); ok {
		t.Error("it is there before it came")
	}
	token := n.issue(t, web)
	arrived := make(chan *protocol.Client)
	go func() {
		c, err := n.Await(bounded(t), web)
		if err != nil {
			t.Error(err)
		}
		arrived <- c
	}()
	stop := runAgent(t, n, token)
	c := <-arrived
	h, err := c.Hello(bounded(t))
	if err != nil || h.IP != "127.0.0.1" {
		t.Errorf("got %+v, %v", h, err)
	}
	if _, ok := n.Connected(protocol.ID{Group: web.Group, Container: "db"}); ok {
		t.Error("another agent is there")
	}
	if err := stop(); err != nil {
		t.Errorf("agent ended with %v", err)
	}
	<-c.Done()
	if _, ok := n.Connected(web); ok {
		t.Error("it is there after it went")
	}
}

func TestAwaitCanBeGivenUp(t *testing.T) {
	n := newNode(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := n.Await(ctx, web); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	waiting := make(chan error)
	go func() {
		_, err := n.Await(context.Background(), web)
		waiting <- err
	}()
	n.stop()
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// dial connects as an agent, with the given certificate, and returns how long
// words from the node go on: until it hangs up.
func dial(t *testing.T, n *testNode, cert *tls.Certificate, change func(*tls.Config)) error {
	t.Helper()
	cfg := &tls.Config{RootCAs: n.authority.Pool(), NextProtos: []string{protocol.ALPN}}
	if cert != nil {
		// Given whether or not the node would trust it.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	if change != nil {
		change(cfg)
	}
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(bounded(t), "tcp", n.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(deadline))
	data, err := io.ReadAll(conn)
	if len(data) > 0 {
		return fmt.Errorf("node said %.24q", data)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the node did not hang up")
	}
	if err == nil {
		err = io.EOF
	}
	return err
}

func TestStrangersAreRefused(t *testing.T) {
	n := newNode(t)
	leaf := func(a *pki.Authority, l pki.Leaf) *tls.Certificate {
		pair, err := a.Issue(l)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := pair.TLS()
		if err != nil {
			t.Fatal(err)
		}
		return &cert
	}
	agentLeaf := pki.Leaf{CommonName: "shop-1234/web", Client: true}
	for name, cert := range map[string]*tls.Certificate{
		"no certificate":             nil,
		"of another authority":       leaf(newAuthority(t), agentLeaf),
		"a server's":                 leaf(n.authority, pki.Leaf{CommonName: "shop-1234/web", Server: true}),
		"no agent's name":            leaf(n.authority, pki.Leaf{CommonName: "web", Client: true}),
		"a name with too many parts": leaf(n.authority, pki.Leaf{CommonName: "a/b/c", Client: true}),
		"no longer valid":            leaf(n.authority, pki.Leaf{CommonName: "shop-1234/web", Client: true, Lifetime: -time.Minute}),
	} {
		if err := dial(t, n, cert, nil); err == nil || strings.Contains(err.Error(), "node said") {
			t.Errorf("%s: %v", name, err)
		}
		if _, ok := n.Connected(web); ok {
			t.Errorf("%s: it is in", name)
		}
	}
	err := dial(t, n, leaf(n.authority, agentLeaf), func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 })
	if err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2: %v", err)
	}
	err = dial(t, n, nil, func(c *tls.Config) { c.NextProtos = []string{"something/1"} })
	if err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Errorf("another protocol: %v", err)
	}
}

func TestPlainHTTPIsRefused(t *testing.T) {
	n := newNode(t)
	token := n.issue(t, web)
	req, err := http.NewRequestWithContext(bounded(t), "POST", "http://"+n.addr+protocol.EnrolPath, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("got %s", resp.Status)
		}
	}
	// It was not looked at: the token is still good.
	if code, _ := enrol(t, n, nil, "Bearer "+token); code != http.StatusOK {
		t.Errorf("the token then: %d", code)
	}
}

func TestAgentsDoNotTrustAnotherNode(t *testing.T) {
	n := newNode(t)
	impostor := serve(t, newAuthority(t), "127.0.0.1:0", Options{})
	impostor.authority = n.authority // which the agent was told to trust
	token := impostor.issue(t, web)
	stop := runAgent(t, impostor, token)
	// The agent tries again and again, so give it what it waits for elsewhere.
	runAgent(t, n, n.issue(t, web))
	n.await(t, web)
	if err := stop(); err != nil {
		t.Errorf("agent ended with %v", err)
	}
	if _, ok := impostor.Connected(web); ok {
		t.Error("the agent talks to an impostor")
	}
	if id, ok := impostor.redeem(token); !ok || id != web {
		t.Error("the agent gave its token to an impostor")
	}
}
