package azurefiles

import (
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// The client's kernel has a cache of pages too, which writes through: every
// write comes here at once, and what was not synced is kept here, apart from
// the share's directory. Before the kernel reads from its pages it asks for the
// time of the last write, and drops them if another has written since.

// attributes tells what a client sees of a node. They are true for no time.
func (c *Client) attributes(n *node, out *fuse.Attr) fuse.Status {
	info, err := n.info()
	if err != nil {
		return toStatus(err)
	}
	out.Ino, out.Mode, out.Nlink, out.Blksize = n.inode, dirMode, 2, 4096
	if !n.isDir {
		out.Mode, out.Nlink = fileMode, 1
		out.Size = uint64(n.size(c, info))
		out.Blocks = (out.Size + 511) / 512
	}
	written := info.ModTime()
	if n.written.After(written) {
		written = n.written
	}
	out.SetTimes(&written, &written, &written)
	return fuse.OK
}

// GetAttr is stat.
func (c *requests) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, status := c.enter("getattr", in.NodeId)
	defer c.share.mu.Unlock()
	if status.Ok() {
		status = c.attributes(n, &out.Attr)
	}
	return status
}

// SetAttr truncates, at the server, and sets times. Modes and owners are
// accepted and stay what they are.
func (c *requests) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	n, status := c.enter("setattr", in.NodeId)
	defer c.share.mu.Unlock()
	if id, ok := in.GetFh(); ok && status.Ok() {
		_, status = c.use(id)
	}
	if size, ok := in.GetSize(); ok && status.Ok() {
		n.yield(c.Client)
		status = toStatus(n.resize(c.Client, int64(size)))
	}
	if written, ok := in.GetMTime(); ok && status.Ok() && !n.gone {
		status = toStatus(c.share.dir.Chtimes(n.at(), written, written))
		n.written = time.Time{}
	}
	if status.Ok() {
		status = c.attributes(n, &out.Attr)
	}
	return status
}

// Open opens a file.
func (c *requests) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	n, status := c.enter("open", in.NodeId)
	defer c.share.mu.Unlock()
	if !status.Ok() {
		return status
	}
	h, err := c.open(n)
	if err != nil {
		return toStatus(err)
	}
	out.Fh = h.id
	return fuse.OK
}

// Read reads what the server has, and over it what the client has written.
func (c *requests) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n, status := c.enter("read", in.NodeId)
	defer c.share.mu.Unlock()
	if !status.Ok() {
		return nil, status
	}
	h, status := c.use(in.Fh)
	if !status.Ok() {
		return nil, status
	}
	at := int64(in.Offset)
	if status := h.may(at, at+int64(len(buf)), false); !status.Ok() {
		return nil, status
	}
	info, err := n.info()
	if err != nil {
		return nil, toStatus(err)
	}
	buf = buf[:max(0, min(int64(len(buf)), n.size(c.Client, info)-at))]
	clear(buf)
	if _, err := n.file.ReadAt(buf[:max(0, min(int64(len(buf)), info.Size()-at))], at); err != nil {
		return nil, toStatus(err)
	}
	n.caches[c.Client].overlay(buf, at)
	return fuse.ReadResultData(buf), fuse.OK
}

// Write keeps what is written if the client has a lease, and gives it to the
// server otherwise.
func (c *requests) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	n, status := c.enter("write", in.NodeId)
	defer c.share.mu.Unlock()
	if !status.Ok() {
		return 0, status
	}
	h, status := c.use(in.Fh)
	if !status.Ok() {
		return 0, status
	}
	at := int64(in.Offset)
	if status := h.may(at, at+int64(len(data)), true); !status.Ok() {
		return 0, status
	}
	if n.lease != c.Client || in.Flags&unix.O_DIRECT != 0 {
		err := n.writeBack(c.Client)
		if err == nil {
			err = n.put(c.Client, data, at)
		}
		if err != nil {
			return 0, toStatus(err)
		}
		return uint32(len(data)), fuse.OK
	}
	if n.caches[c.Client] == nil {
		n.caches[c.Client] = &extents{}
	}
	n.caches[c.Client].write(data, at)
	n.touch()
	return uint32(len(data)), fuse.OK
}

// sync gives the server what the client has written to a file.
func (c *Client) sync(name string, id, fh uint64) (*node, fuse.Status) {
	n, status := c.enter(name, id)
	if n != nil && !status.Ok() {
		delete(n.caches, c) // what could not be written is not written again
	}
	if !status.Ok() {
		return n, status
	}
	h, status := c.use(fh)
	if !status.Ok() {
		return n, status
	}
	h.flushed = name == "flush"
	return n, toStatus(n.sync(c))
}

// Fsync is fsync and fdatasync.
func (c *requests) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	_, status := c.sync("fsync", in.NodeId, in.Fh)
	defer c.share.mu.Unlock()
	return status
}

// Flush is close of a descriptor: it syncs, and ends the locks of its process.
func (c *requests) Flush(_ <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	n, status := c.sync("flush", in.NodeId, in.Fh)
	defer c.share.mu.Unlock()
	if n != nil {
		n.unlock(func(l *lock) bool {
			return !l.flock && l.owner == in.LockOwner && l.handle.client == c.Client
		})
	}
	return status
}

// Release is the end of a file that was opened.
func (c *requests) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	n, _ := c.enter("release", in.NodeId)
	defer c.share.mu.Unlock()
	h := c.handles[in.Fh]
	if h == nil || c.dead {
		return
	}
	if !h.closed {
		_ = n.writeBack(c.Client) // nobody is left to tell
	}
	delete(c.handles, in.Fh)
	h.closed = false // it is not opened anew
	h.drop()
}

// Fallocate makes a file longer, if the client is sure of its length. It does
// nothing else.
func (c *requests) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	n, status := c.enter("fallocate", in.NodeId)
	defer c.share.mu.Unlock()
	if !status.Ok() {
		return status
	}
	if _, status := c.use(in.Fh); !status.Ok() {
		return status
	}
	info, err := n.info()
	if err != nil {
		return toStatus(err)
	}
	if in.Mode != 0 || n.lease != c.Client {
		return fuse.Status(unix.EOPNOTSUPP)
	}
	if size := int64(in.Offset + in.Length); size > n.size(c.Client, info) {
		err = n.resize(c.Client, size)
	}
	return toStatus(err)
}
