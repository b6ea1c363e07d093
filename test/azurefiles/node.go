package azurefiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// node is a file or directory of the share that some client knows. There is
// one for all clients, so that a rename by one is seen by all, and by the
// handles that are open.
type node struct {
	share *Share
	id    uint64
	inode uint64
	isDir bool

	// parent and name say where it is or, if it is gone, was.
	parent *node
	name   string
	gone   bool

	// known counts the lookups that a client's kernel has not forgotten.
	known    map[*Client]uint64
	children int

	// Of files only:

	file    *os.File // the server's, while there are handles
	handles map[*handle]struct{}
	locks   []*lock
	lease   *Client              // who may cache what it reads, writes and locks
	caches  map[*Client]*extents // what clients have written and the server has not
	failed  map[*Client]error    // what the next fsync of a client reports
	written time.Time            // when somebody last wrote
}

func (s *Share) newNode(inode uint64, isDir bool) *node {
	s.last++
	n := &node{
		share: s, id: s.last, inode: inode, isDir: isDir, known: map[*Client]uint64{},
		handles: map[*handle]struct{}{}, caches: map[*Client]*extents{}, failed: map[*Client]error{},
	}
	s.nodes[n.id], s.inodes[inode] = n, n
	return n
}

func inode(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

// find returns the node of a name in a directory, as the directory is now.
func (n *node) find(name string) (*node, error) {
	info, err := n.share.dir.Lstat(n.child(name))
	if err != nil {
		return nil, err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return nil, unix.EOPNOTSUPP
	}
	found := n.share.inodes[inode(info)]
	if found != nil && found.isDir != info.IsDir() { // somebody has removed that one in the directory
		found.remove()
		found = nil
	}
	if found == nil {
		found = n.share.newNode(inode(info), info.IsDir())
	}
	if found != n.share.root {
		found.move(n, name)
	}
	return found, nil
}

// move notes where the node is.
func (n *node) move(parent *node, name string) {
	old := n.parent
	n.parent, n.name = parent, name
	if old == parent {
		return
	}
	parent.children++
	if old != nil {
		old.children--
		old.tidy()
	}
}

// remove notes that the node has no name any more.
func (n *node) remove() {
	n.gone = true
	delete(n.share.inodes, n.inode)
	n.tidy()
}

// tidy forgets the node if nobody needs it.
func (n *node) tidy() {
	if len(n.handles) == 0 && n.file != nil {
		n.file.Close()
		n.file, n.lease = nil, nil
	}
	if len(n.known) > 0 || n.children > 0 || len(n.handles) > 0 || n == n.share.root || n.share.nodes[n.id] != n {
		return
	}
	delete(n.share.nodes, n.id)
	if !n.gone {
		delete(n.share.inodes, n.inode)
	}
	if n.parent != nil {
		n.parent.children--
		n.parent.tidy()
	}
}

// path is where the node is on the share, as clients see it.
func (n *node) path() string {
	if n.parent == nil {
		return "/"
	}
	return filepath.Join(n.parent.path(), n.name)
}

// at is where the node is in the share's directory.
func (n *node) at() string { return filepath.Join(".", n.path()) }

// child is where a name of the node is in the share's directory.
func (n *node) child(name string) string { return filepath.Join(n.at(), name) }

// below reports whether the node is a directory, or in it at any depth.
func (n *node) below(dir *node) bool {
	for ; n != nil; n = n.parent {
		if n == dir {
			return true
		}
	}
	return false
}

// busy returns a handle of a file at or below the node, if there is any.
func (n *node) busy() *handle {
	for _, each := range n.share.nodes {
		for h := range each.handles {
			if each.below(n) {
				return h
			}
		}
	}
	return nil
}

// info returns what the server knows of the node.
func (n *node) info() (fs.FileInfo, error) {
	if n.file != nil {
		return n.file.Stat()
	}
	if n.gone {
		return nil, unix.ENOENT
	}
	return n.share.dir.Lstat(n.at())
}

// open opens the server's file, unless it is.
func (n *node) open() (err error) {
	if n.gone {
		return unix.ENOENT
	}
	if n.file == nil {
		n.file, err = n.share.dir.OpenFile(n.at(), os.O_RDWR, 0)
	}
	return err
}

// touch notes that the file was written to. No two writes are at the same
// time: kernels tell by that whether what they have is still right.
func (n *node) touch() {
	now := time.Now()
	if !now.After(n.written) {
		now = n.written.Add(time.Nanosecond)
	}
	n.written = now
}

// put writes to the server's file for a client. Another that has cached the
// file is told, but not waited for.
func (n *node) put(c *Client, data []byte, at int64) error {
	info, err := n.file.Stat()
	if err != nil {
		return err
	}
	if err := n.share.room(at + int64(len(data)) - info.Size()); err != nil {
		return err
	}
	if _, err := n.file.WriteAt(data, at); err != nil {
		return fmt.Errorf("write %s: %w", n.path(), err)
	}
	n.touch()
	if n.lease != nil && n.lease != c {
		n.breakLease()
	}
	return nil
}

// resize sets the size of the server's file, at once.
func (n *node) resize(c *Client, size int64) error {
	info, err := n.info()
	if err != nil {
		return err
	}
	if err := n.share.room(size - info.Size()); err != nil {
		return err
	}
	if err := n.truncate(size); err != nil {
		return err
	}
	if cache := n.caches[c]; cache != nil {
		cache.truncate(size)
	}
	n.touch()
	return nil
}

// truncate sets the size of the server's file, which need not be open.
func (n *node) truncate(size int64) error {
	if n.file != nil {
		return n.file.Truncate(size)
	}
	f, err := n.share.dir.OpenFile(n.at(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// size is how long the file is for a client.
func (n *node) size(c *Client, info fs.FileInfo) int64 {
	return max(info.Size(), n.caches[c].end())
}
