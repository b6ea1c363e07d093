// Package dns tells groups one another's addresses. It exists because nothing
// in a cluster depends on an address that survives a restart: every component
// finds the others by DNS label, and a label must answer as soon as its group
// has an address, and wait rather than fail while the group is on its way.
package dns

import (
	"context"
	"net/netip"
	"strings"
	"sync"
)

// Zone is a set of names with their addresses. It is safe for concurrent use.
type Zone struct {
	mu    sync.Mutex
	names map[string]*entry
}

// entry is one name. known is closed when addr is set or the name is removed.
type entry struct {
	addr  netip.Addr
	known chan struct{}
}

// NewZone returns an empty zone.
func NewZone() *Zone { return &Zone{names: map[string]*entry{}} }

// canonical makes names comparable: lower case, no dot at the end.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// Expect says that a name exists and will have an address: lookups wait for
// it. An address that it had is forgotten.
func (z *Zone) Expect(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if e := z.names[canonical(name)]; e != nil && !e.addr.IsValid() {
		return // whoever waits goes on waiting
	}
	z.names[canonical(name)] = &entry{known: make(chan struct{})}
}

// Set gives a name its address.
func (z *Zone) Set(name string, addr netip.Addr) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if e := z.names[canonical(name)]; e != nil && !e.addr.IsValid() {
		e.addr = addr
		close(e.known)
		return
	}
	e := &entry{addr: addr, known: make(chan struct{})}
	close(e.known)
	z.names[canonical(name)] = e
}

// Remove forgets a name.
func (z *Zone) Remove(name string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if e := z.names[canonical(name)]; e != nil && !e.addr.IsValid() {
		close(e.known)
	}
	delete(z.names, canonical(name))
}

// Has reports whether the name exists, with or without an address.
func (z *Zone) Has(name string) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.names[canonical(name)] != nil
}

// Lookup returns a name's address, waiting for one that is expected. The
// answer is not valid when the name does not exist, goes away, or has no
// address before ctx is done.
func (z *Zone) Lookup(ctx context.Context, name string) netip.Addr {
	z.mu.Lock()
	e := z.names[canonical(name)]
	z.mu.Unlock()
	if e == nil {
		return netip.Addr{}
	}
	select {
	case <-e.known:
	case <-ctx.Done():
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	return e.addr
}
