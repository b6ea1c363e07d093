package agents

import (
	"net"
	"sync"
)

// gate is a listener that knows the connections that it let in, so that the
// hub can end them all and wait until nobody uses them: net/http closes a
// connection as the last thing that it does with it.
type gate struct {
	net.Listener
	users sync.WaitGroup

	mu     sync.Mutex
	open   map[*visitor]struct{}
	closed bool
}

func newGate(l net.Listener) *gate {
	return &gate{Listener: l, open: map[*visitor]struct{}{}}
}

// Accept lets one connection in.
func (g *gate) Accept() (net.Conn, error) {
	c, err := g.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		// The second line of defence behind HTTP/2's pings.
		_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: readIdle, Interval: pingTimeout, Count: 3})
	}
	v := &visitor{Conn: c, gate: g}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	g.open[v] = struct{}{}
	g.users.Add(1)
	return v, nil
}

// close lets nobody in any more, cuts every connection off and waits until all
// their users have noticed.
func (g *gate) close() {
	_ = g.Listener.Close()
	g.mu.Lock()
	g.closed = true
	for v := range g.open {
		_ = v.Conn.Close()
	}
	g.mu.Unlock()
	g.users.Wait()
}

// visitor is a connection that signs off when its user closes it.
type visitor struct {
	net.Conn
	gate *gate
	once sync.Once
}

func (v *visitor) Close() error {
	err := v.Conn.Close()
	v.once.Do(func() {
		v.gate.mu.Lock()
		delete(v.gate.open, v)
		v.gate.mu.Unlock()
		v.gate.users.Done()
	})
	return err
}
