package azurefiles

import (
	"time"

	"golang.org/x/sys/unix"
)

// A client that alone has a file open holds a lease on it: it keeps what it
// writes, and its locks, to itself. When another opens the file, the server
// breaks the lease: the holder hands over what it has kept, and from then on
// every write and lock is the server's. A frozen client does not answer; the
// server waits for a while and goes on without, not knowing what it kept.

// yield breaks another's lease so that a client can have the file.
func (n *node) yield(c *Client) {
	holder := n.lease
	if holder == nil || holder == c {
		return
	}
	timeout := make(chan struct{})
	timer := time.AfterFunc(n.share.options.BreakTimeout, func() { close(timeout) })
	defer timer.Stop()
	for n.lease == holder && holder.silent() && n.share.wait(timeout) {
	}
	if n.lease == holder {
		n.breakLease()
	}
}

// breakLease takes the lease of a file from whoever has it.
func (n *node) breakLease() {
	holder := n.lease
	n.lease = nil
	if !holder.silent() {
		n.settle(holder)
		return
	}
	for h := range n.handles {
		if h.client == holder {
			h.ignored = true
		}
	}
}

// grant gives a client the lease of a file if no other client has it open, but
// for one that did not answer.
func (n *node) grant(c *Client) {
	for h := range n.handles {
		if h.client != c && !h.ignored {
			return
		}
	}
	n.lease = c
}

// settle has a client that has no lease give the server what it has kept.
func (n *node) settle(c *Client) {
	if err := n.writeBack(c); err != nil {
		n.failed[c] = err
	}
	n.pushLocks(c)
}

// writeBack gives the server what a client has written. If that fails, it is
// lost: Linux does not write a second time what it could not write.
func (n *node) writeBack(c *Client) error {
	cache := n.caches[c]
	delete(n.caches, c)
	if cache == nil {
		return nil
	}
	for _, e := range cache.list {
		if n.file == nil {
			return unix.EBADF
		}
		if n.serverRefuses(c, e.at, e.end()) {
			return unix.EACCES
		}
		if err := n.put(c, e.data, e.at); err != nil {
			return err
		}
	}
	return nil
}

// sync is writeBack, and tells of what failed before.
func (n *node) sync(c *Client) error {
	err := n.failed[c]
	delete(n.failed, c)
	if now := n.writeBack(c); now != nil {
		err = now
	}
	return err
}
