package azurefiles

import (
	"slices"
	"strings"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// handle is an open file of a client.
type handle struct {
	id     uint64
	client *Client
	node   *node

	// closed says that the server has closed it by force; path is where the
	// file was then.
	closed bool
	path   string
	// flushed says that a descriptor was closed and the handle not used since:
	// it may be that nobody has it any more.
	flushed bool
	// ignored says that the client did not answer when its lease was broken.
	ignored bool
}

// Handle is an open file, as the server knows it.
type Handle struct {
	Client string
	Path   string
}

// Handles lists the handles that are open, by path and client.
func (s *Share) Handles() []Handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked(s.closing)
	var list []Handle
	for _, n := range s.nodes {
		for h := range n.handles {
			list = append(list, Handle{Client: h.client.options.Client, Path: n.path()})
		}
	}
	slices.SortFunc(list, func(a, b Handle) int {
		if c := strings.Compare(a.Path, b.Path); c != 0 {
			return c
		}
		return strings.Compare(a.Client, b.Client)
	})
	return list
}

// CloseHandles closes all handles of a file by force, and those of all that is
// below a directory if it is recursive, and returns how many there were. Their
// clients are not asked; what they had not written is lost.
func (s *Share) CloseHandles(path string, recursive bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	path = strings.TrimSuffix(path, "/")
	closed := 0
	for _, n := range s.nodes {
		at := n.path()
		if at != path && !(recursive && strings.HasPrefix(at, path+"/")) {
			continue
		}
		for h := range n.handles {
			h.closed, h.path = true, at
			h.drop()
			closed++
		}
	}
	return closed
}

// open opens a file for a client.
func (c *Client) open(n *node) (*handle, error) {
	if n.isDir {
		return nil, unix.EISDIR
	}
	n.yield(c)
	if c.dead {
		return nil, unix.ENOTCONN
	}
	if err := n.open(); err != nil {
		return nil, err
	}
	c.share.last++
	h := &handle{id: c.share.last, client: c, node: n}
	c.handles[h.id] = h
	n.handles[h] = struct{}{}
	n.grant(c)
	return h, nil
}

// use returns a handle that a request is about.
func (c *Client) use(id uint64) (*handle, fuse.Status) {
	h := c.handles[id]
	switch {
	case h == nil:
		return nil, fuse.EBADF
	case !h.closed:
		h.flushed = false
		return h, fuse.OK
	case !c.options.Reopen:
		return nil, fuse.EBADF // that is what cifs makes of STATUS_FILE_CLOSED
	}
	return h, toStatus(h.reopen())
}

// reopen opens a handle anew that was closed by force, if its file is still
// where it was.
func (h *handle) reopen() error {
	if h.node.gone || h.node.path() != h.path {
		return unix.ENOENT
	}
	h.node.yield(h.client)
	if h.client.dead {
		return unix.ENOTCONN
	}
	if err := h.node.open(); err != nil {
		return err
	}
	h.closed = false
	h.node.handles[h] = struct{}{}
	h.node.grant(h.client)
	return nil
}

// drop has the server forget the handle, with its locks and, if it was the last
// of its client, what that had cached.
func (h *handle) drop() {
	n, c := h.node, h.client
	delete(n.handles, h)
	n.unlock(func(l *lock) bool { return l.handle == h })
	if !n.openFor(c) {
		if n.lease == c {
			n.lease = nil
		}
		if !(h.closed && c.options.Reopen) {
			delete(n.caches, c)
			delete(n.failed, c)
		}
	}
	n.tidy()
}

// openElsewhere returns a handle of the file that is another client's.
func (n *node) openElsewhere(c *Client) *handle {
	for h := range n.handles {
		if h.client != c {
			return h
		}
	}
	return nil
}

// closing returns a handle that may be about to be released.
func (s *Share) closing() *handle {
	for _, n := range s.nodes {
		for h := range n.handles {
			if h.flushed && !h.client.silent() {
				return h
			}
		}
	}
	return nil
}

// releasePatience is how long a release may be on its way.
const releasePatience = 2 * time.Second

// blocked reports whether there is a handle in somebody's way. A kernel does
// not wait until a file that was closed is released, as one does for SMB: so
// here those do whom such a handle would hinder.
func (s *Share) blocked(by func() *handle) bool {
	timeout := make(chan struct{})
	timer := time.AfterFunc(releasePatience, func() { close(timeout) })
	defer timer.Stop()
	for {
		h := by()
		if h == nil {
			return false
		}
		if !h.flushed || h.client.silent() || !s.wait(timeout) {
			return true
		}
	}
}

// openFor reports whether a client has a handle of the file.
func (n *node) openFor(c *Client) bool {
	for h := range n.handles {
		if h.client == c {
			return true
		}
	}
	return false
}
