package agents

//lint:file-ignore SA1019 net/http serves listeners and dials addresses; here it is the dialler that serves, on the one connection.

import (
	"crypto/tls"
	"maps"
	"net"
	"slices"
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
	// ended is called once, before closed is closed.
	ended func()
}

func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		c.ended()
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
	l := &link{id: id, conn: c, settled: make(chan struct{})}
	c.ended = func() { h.remove(l) }
	defer c.Close()
	clientConn, err := h.transport.NewClientConn(c)
	if err != nil {
		h.log.Warn("open agent's connection", "group", id.Group, "container", id.Container, "error", err)
		return
	}
	l.client = protocol.NewClient(clientConn, c.closed)
	defer close(l.settled)
	old, ok := h.add(l)
	if !ok {
		h.log.Warn("refused an agent of a forgotten group", "group", id.Group, "container", id.Container)
		return
	}
	defer h.attended.Done()
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
	h.remove(l) // once more, should it have ended before it was added
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
	h.attended.Add(1)
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
	h.closing = true
	links := slices.Collect(maps.Values(h.links))
	close(h.arrived)
	h.arrived = make(chan struct{})
	h.mu.Unlock()
	for _, l := range links { // unlocked, since close removes them
		l.close()
	}
}
