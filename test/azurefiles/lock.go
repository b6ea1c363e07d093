package azurefiles

import (
	"slices"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// lock is a lock of a range of a file. It belongs to a handle, whether it was
// made by flock or fcntl, and binds those who never ask for locks.
type lock struct {
	handle *handle
	// from and to are its first byte and that after its last.
	from, to int64
	shared   bool
	// owner is a process's for locks that end with any of its descriptors.
	owner uint64
	flock bool
	// local says that the client has not told the server.
	local bool
}

func (l *lock) overlaps(from, to int64) bool { return l.from < to && from < l.to }

// hides reports whether a client cannot know of the lock.
func (l *lock) hides(c *Client) bool { return l.local && l.handle.client != c }

// conflict returns a lock that stands in the way of one.
func (n *node) conflict(want *lock) *lock {
	for _, l := range n.locks {
		if l.handle == want.handle || l.shared && want.shared || l.hides(want.handle.client) {
			continue
		}
		if l.overlaps(want.from, want.to) {
			return l
		}
	}
	return nil
}

// refuses returns whose lock forbids a handle to read or write, if any does.
func (n *node) refuses(h *handle, from, to int64, write bool) *handle {
	for _, l := range n.locks {
		switch {
		case !l.overlaps(from, to), l.hides(h.client):
		case l.local && h.client.options.NoBRL: // such locks bind only those who ask
		case l.shared && write: // binds even who has it
			return l.handle
		case !l.shared && l.handle != h:
			return l.handle
		}
	}
	return nil
}

// may asks whether a handle may read or write, as far as locks go.
func (h *handle) may(from, to int64, write bool) fuse.Status {
	if h.client.share.blocked(func() *handle { return h.node.refuses(h, from, to, write) }) {
		return fuse.EACCES
	}
	if h.closed || h.client.dead { // while it waited
		return fuse.EBADF
	}
	return fuse.OK
}

// serverRefuses reports whether the server has a lock that forbids a client to
// write what it had kept.
func (n *node) serverRefuses(c *Client, from, to int64) bool {
	return slices.ContainsFunc(n.locks, func(l *lock) bool {
		return !l.local && l.handle.client != c && l.overlaps(from, to)
	})
}

// pushLocks tells the server of the locks that a client has kept to itself.
// Those that it refuses are lost, and nobody is told.
func (n *node) pushLocks(c *Client) {
	if c.options.NoBRL {
		return
	}
	n.locks = slices.DeleteFunc(n.locks, func(l *lock) bool {
		if l.handle.client != c || !l.local {
			return false
		}
		l.local = false
		return slices.ContainsFunc(n.locks, func(o *lock) bool {
			return !o.local && o.handle != l.handle && !(o.shared && l.shared) && o.overlaps(l.from, l.to)
		})
	})
}

// unlock removes the locks that are wanted gone.
func (n *node) unlock(which func(*lock) bool) {
	n.locks = slices.DeleteFunc(n.locks, which)
	n.share.changed()
}

// newLock reads a request.
func newLock(h *handle, in *fuse.LkIn) *lock {
	to := int64(in.Lk.End)
	if to++; to <= 0 { // up to the end of all files
		to = 1<<63 - 1
	}
	return &lock{
		handle: h, from: int64(in.Lk.Start), to: to, shared: in.Lk.Typ == unix.F_RDLCK,
		owner: in.Owner, flock: in.LkFlags&fuse.FUSE_LK_FLOCK != 0,
	}
}

// setLock sets or removes a lock, as soon as it can if there is something to
// wait with.
func (c *Client) setLock(cancel <-chan struct{}, in *fuse.LkIn, wait bool) fuse.Status {
	n, status := c.enter("setlk", in.NodeId)
	defer c.share.mu.Unlock()
	if !status.Ok() {
		return status
	}
	h, status := c.use(in.Fh)
	if !status.Ok() {
		return status
	}
	want := newLock(h, in)
	if in.Lk.Typ == unix.F_UNLCK {
		n.unlock(func(l *lock) bool { return l.handle == h && l.from >= want.from && l.to <= want.to })
		return fuse.OK
	}
	inTheWay := func() *handle {
		if l := n.conflict(want); l != nil {
			return l.handle
		}
		return nil
	}
	for c.share.blocked(inTheWay) {
		if !wait {
			return fuse.EACCES
		}
		if !c.share.wait(cancel) {
			return fuse.EINTR
		}
		if !c.thawed().Ok() {
			return fuse.EBADF
		}
	}
	if h.closed || c.dead { // while it waited
		return fuse.EBADF
	}
	n.locks = slices.DeleteFunc(n.locks, func(l *lock) bool {
		return l.handle == h && l.from >= want.from && l.to <= want.to
	})
	want.local = c.options.NoBRL || n.lease == c
	n.locks = append(n.locks, want)
	return fuse.OK
}

// SetLk is fcntl(F_SETLK), fcntl(F_OFD_SETLK) and flock(LOCK_NB).
func (c *requests) SetLk(cancel <-chan struct{}, in *fuse.LkIn) fuse.Status {
	return c.setLock(cancel, in, false)
}

// SetLkw is the same, with patience.
func (c *requests) SetLkw(cancel <-chan struct{}, in *fuse.LkIn) fuse.Status {
	return c.setLock(cancel, in, true)
}

// GetLk is fcntl(F_GETLK).
func (c *requests) GetLk(_ <-chan struct{}, in *fuse.LkIn, out *fuse.LkOut) fuse.Status {
	n, status := c.enter("getlk", in.NodeId)
	defer c.share.mu.Unlock()
	if !status.Ok() {
		return status
	}
	h, status := c.use(in.Fh)
	if !status.Ok() {
		return status
	}
	out.Lk = in.Lk
	l := n.conflict(newLock(h, in))
	if l == nil {
		out.Lk.Typ = unix.F_UNLCK
		return fuse.OK
	}
	out.Lk = fuse.FileLock{Start: uint64(l.from), End: uint64(l.to - 1), Typ: unix.F_WRLCK}
	if l.shared {
		out.Lk.Typ = unix.F_RDLCK
	}
	return fuse.OK
}
