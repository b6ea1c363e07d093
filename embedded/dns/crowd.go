package dns

import (
	"net"
	"net/netip"
	"sync"
)

// maxAtOnce is how many questions of one client are worked on at once. Each
// may wait, and have a socket open: without an end, one container could take
// all that the cloud can open.
const maxAtOnce = 256

// crowd counts the questions that are being worked on, by client.
type crowd struct {
	mu    sync.Mutex
	count map[netip.Addr]int
}

// enter counts a question in until leave is called, unless its client has as
// many as it may.
func (c *crowd) enter(client netip.Addr) (leave func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count[client] >= maxAtOnce {
		return nil, false
	}
	if c.count == nil {
		c.count = map[netip.Addr]int{}
	}
	c.count[client]++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.count[client]--; c.count[client] == 0 {
			delete(c.count, client)
		}
	}, true
}

// addressOf returns a client's address, which is not valid for one that has
// none: all such clients are one.
func addressOf(client net.Addr) netip.Addr {
	at, err := netip.ParseAddrPort(client.String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap()
}
