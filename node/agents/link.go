package agents

import (
	"crypto/tls"
	"net"
	"sync"

	"frankenetes.dev/agent/protocol"
)

// link is one agent's connection.
type link struct {
	id     protocol.ID
	conn   *conn
	client *protocol.Client
	// settled is closed when the callbacks of this link have returned.
	settled chan struct{}
}

func (l *link) close() { _ = l.conn.Close() }

// conn tells when it is closed. http2 closes a connection as soon as it can no
// longer be used, so this is how the end of one is learned.
type conn struct {
	*tls.Conn
	once   sync.Once
	closed chan struct{}
}

func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		err = c.Conn.Close()
		close(c.closed)
	})
	return err
}

// accept owns an agent's connection from the handshake to its end.
func (h *Hub) accept(tlsConn *tls.Conn) {
	id, ok := identity(tlsConn.ConnectionState())
	if !ok {
		h.log.Warn("refused an agent's connection without a certificate", "from", tlsConn.RemoteAddr().String())
		return
	}
	c := &conn{Conn: tlsConn, closed: make(chan struct{})}
	defer c.Close()
	clientConn, err := h.transport.NewClientConn(c)
	if err != nil {
		h.log.Warn("open agent's connection", "group", id.Group, "container", id.Container, "error", err)
		return
	}
	l := &link{id: id, conn: c, settled: make(chan struct{}), client: protocol.NewClient(clientConn, c.closed)}
	defer close(l.settled)
	old, ok := h.add(l)
	if !ok {
		h.log.Warn("refused an agent of a forgotten group", "group", id.Group, "container", id.Container)
		return
	}
	if old != nil {
		old.close()
		<-old.settled
	}
	h.attend(l)
}

// attend makes the callbacks of a link and waits for its end.
func (h *Hub) attend(l *link) {
	h.log.Debug("agent connected", "group", l.id.Group, "container", l.id.Container)
	if h.opts.OnConnect != nil {
		h.opts.OnConnect(l.id, l.client)
	}
	<-l.conn.closed
	h.remove(l)
	h.log.Debug("agent disconnected", "group", l.id.Group, "container", l.id.Container)
	if h.opts.OnDisconnect != nil {
		h.opts.OnDisconnect(l.id)
	}
}

// add makes l the link of its agent and returns the one that it replaces. It
// refuses groups that were forgotten, and everyone once the hub is closing.
func (h *Hub) add(l *link) (old *link, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, gone := h.forgotten[l.id.Group]; gone || h.closing {
		return nil, false
	}
	old = h.links[l.id]
	h.links[l.id] = l
	close(h.arrived)
	h.arrived = make(chan struct{})
	return old, true
}

func (h *Hub) remove(l *link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.links[l.id] == l {
		delete(h.links, l.id)
	}
}

// close ends every link, lets no other in, and wakes all who wait for one.
func (h *Hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closing = true
	for _, l := range h.links {
		l.close()
	}
	close(h.arrived)
	h.arrived = make(chan struct{})
}

// gate counts the connections of a listener, so that whoever closed them all
// can wait for their goroutines: net/http closes a connection last of all.
type gate struct {
	net.Listener
	conns sync.WaitGroup
}

func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		// The second line of defence behind HTTP/2's pings.
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: readIdle, Interval: pingTimeout, Count: 3})
	}
	g.conns.Add(1)
	return &counted{Conn: c, done: g.conns.Done}, nil
}

type counted struct {
	net.Conn
	once sync.Once
	done func()
}

func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.done)
	return err
}
