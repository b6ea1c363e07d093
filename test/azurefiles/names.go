package azurefiles

import (
	"errors"
	"io/fs"
	"os"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// requests are what a client's kernel asks for. What changes names is done at
// the server at once.
type requests struct {
	fuse.RawFileSystem
	*Client
}

// Modes are those of file_mode=0777,dir_mode=0777.
const (
	fileMode = unix.S_IFREG | 0o777
	dirMode  = unix.S_IFDIR | 0o777
)

// entry answers with a node, which the kernel knows from then on.
func (c *Client) entry(n *node, out *fuse.EntryOut) fuse.Status {
	if status := c.attributes(n, &out.Attr); !status.Ok() {
		return status
	}
	out.NodeId = n.id
	n.known[c]++
	return fuse.OK
}

// Lookup finds a name. The kernel may keep nothing of it: others rename too.
func (c *requests) Lookup(_ <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	n, status := c.enter("lookup", in.NodeId)
	defer c.share.mu.Unlock()
	if !status.Ok() {
		return status
	}
	found, err := n.find(name)
	if err != nil {
		return toStatus(err)
	}
	return c.entry(found, out)
}

// Forget is told how many lookups the kernel has forgotten.
func (c *requests) Forget(id, count uint64) {
	c.share.mu.Lock()
	defer c.share.mu.Unlock()
	n := c.share.nodes[id]
	if n == nil || n.known[c.Client] == 0 {
		return
	}
	if n.known[c.Client] -= min(count, n.known[c.Client]); n.known[c.Client] == 0 {
		delete(n.known, c.Client)
		n.tidy()
	}
}

// make makes a file or directory and answers with it.
func (c *Client) make(dir *node, name string, isDir bool, out *fuse.EntryOut) (*node, fuse.Status) {
	at, root := dir.child(name), c.share.dir
	var err error
	if isDir {
		err = root.Mkdir(at, 0o777)
	} else {
		var f *os.File
		if f, err = root.OpenFile(at, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return nil, toStatus(err)
	}
	if err := root.Chmod(at, 0o777); err != nil { // whatever the umask says
		return nil, toStatus(err)
	}
	n, err := dir.find(name)
	if err != nil {
		return nil, toStatus(err)
	}
	return n, c.entry(n, out)
}

// Mkdir makes a directory.
func (c *requests) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	n, status := c.enter("mkdir", in.NodeId)
	defer c.share.mu.Unlock()
	if status.Ok() {
		_, status = c.make(n, name, true, out)
	}
	return status
}

// Mknod makes a file, and nothing else.
func (c *requests) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	n, status := c.enter("mknod", in.NodeId)
	defer c.share.mu.Unlock()
	if status.Ok() && in.Mode&unix.S_IFMT != unix.S_IFREG {
		return fuse.EPERM
	}
	if status.Ok() {
		_, status = c.make(n, name, false, out)
	}
	return status
}

// Create makes a file, unless it is there and may be, and opens it.
func (c *requests) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	dir, status := c.enter("create", in.NodeId)
	defer c.share.mu.Unlock()
	if !status.Ok() {
		return status
	}
	n, status := c.make(dir, name, false, &out.EntryOut)
	if status == fuse.Status(unix.EEXIST) && in.Flags&unix.O_EXCL == 0 {
		found, err := dir.find(name)
		if err != nil {
			return toStatus(err)
		}
		n, status = found, c.entry(found, &out.EntryOut)
	}
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

// Symlink is refused: nobody mounts with mfsymlinks.
func (c *requests) Symlink(<-chan struct{}, *fuse.InHeader, string, string, *fuse.EntryOut) fuse.Status {
	return fuse.Status(unix.EOPNOTSUPP)
}

// Link is refused likewise.
func (c *requests) Link(<-chan struct{}, *fuse.LinkIn, string, *fuse.EntryOut) fuse.Status {
	return fuse.Status(unix.EOPNOTSUPP)
}

// Unlink removes a file. Its own client may have it open.
func (c *requests) Unlink(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	dir, status := c.enter("unlink", in.NodeId)
	defer c.share.mu.Unlock()
	if !status.Ok() {
		return status
	}
	n, err := dir.find(name)
	if err != nil {
		return toStatus(err)
	}
	defer n.tidy()
	if c.share.blocked(func() *handle { return n.openElsewhere(c.Client) }) {
		return fuse.EACCES
	}
	if err := c.share.dir.Remove(n.at()); err != nil {
		return toStatus(err)
	}
	n.remove()
	return fuse.OK
}

// Rmdir removes a directory, which is not empty while a file that was in it is
// open.
func (c *requests) Rmdir(_ <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	dir, status := c.enter("rmdir", in.NodeId)
	defer c.share.mu.Unlock()
	if !status.Ok() {
		return status
	}
	n, err := dir.find(name)
	if err != nil {
		return toStatus(err)
	}
	defer n.tidy()
	if n.isDir && c.share.blocked(n.busy) {
		return fuse.Status(unix.ENOTEMPTY)
	}
	if err := c.share.dir.Remove(n.at()); err != nil {
		return toStatus(err)
	}
	n.remove()
	return fuse.OK
}

// Rename moves a file, even an open one, but over none that is open, and a
// directory if no file in it is.
func (c *requests) Rename(_ <-chan struct{}, in *fuse.RenameIn, name, newName string) fuse.Status {
	dir, status := c.enter("rename", in.NodeId)
	defer c.share.mu.Unlock()
	newDir := c.share.nodes[in.Newdir]
	switch {
	case !status.Ok():
		return status
	case newDir == nil:
		return fuse.Status(unix.ESTALE)
	case in.Flags&^unix.RENAME_NOREPLACE != 0:
		return fuse.EINVAL
	}
	n, err := dir.find(name)
	if err != nil {
		return toStatus(err)
	}
	defer n.tidy()
	target, err := newDir.find(newName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return toStatus(err)
	case in.Flags&unix.RENAME_NOREPLACE != 0:
		return fuse.Status(unix.EEXIST)
	case c.share.blocked(target.busy):
		return fuse.EACCES
	}
	if n.isDir && c.share.blocked(n.busy) {
		return fuse.EACCES
	}
	if err := c.share.dir.Rename(n.at(), newDir.child(newName)); err != nil {
		return toStatus(err)
	}
	if target != nil {
		target.remove()
	}
	n.move(newDir, newName)
	return fuse.OK
}

// StatFs tells of the quota, or of the server's disk if there is none.
func (c *requests) StatFs(_ <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	_, status := c.enter("statfs", in.NodeId)
	defer c.share.mu.Unlock()
	if !status.Ok() {
		return status
	}
	disk, err := c.share.disk()
	if err != nil {
		return toStatus(err)
	}
	const block = 4096
	*out = fuse.StatfsOut{
		Blocks: disk.Blocks * uint64(disk.Bsize) / block, Bfree: disk.Bfree * uint64(disk.Bsize) / block,
		Bsize: block, Frsize: block, NameLen: 255,
	}
	if c.share.quota > 0 {
		used, err := c.share.used()
		if err != nil {
			return toStatus(err)
		}
		out.Blocks, out.Bfree = uint64(c.share.quota)/block, uint64(max(0, c.share.quota-used))/block
	}
	out.Bavail = out.Bfree
	return fuse.OK
}

// disk tells of the server's disk.
func (s *Share) disk() (disk unix.Statfs_t, err error) {
	f, err := s.dir.Open(".")
	if err != nil {
		return disk, err
	}
	defer f.Close()
	return disk, unix.Fstatfs(int(f.Fd()), &disk)
}
