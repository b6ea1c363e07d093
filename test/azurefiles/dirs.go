package azurefiles

import (
	"io/fs"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// ReadDir lists a directory as it was when its listing began.
func (c *requests) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	n, status := c.enter("readdir", in.NodeId)
	defer c.share.mu.Unlock()
	if !status.Ok() {
		return status
	}
	list, ok := c.listings[in.Fh]
	if !ok || in.Offset == 0 {
		entries, err := fs.ReadDir(c.share.dir.FS(), n.at())
		if err != nil {
			return toStatus(err)
		}
		list = entries
		c.listings[in.Fh] = list
	}
	for i := int(in.Offset); i < len(list); i++ {
		mode := uint32(unix.S_IFREG)
		if list[i].IsDir() {
			mode = unix.S_IFDIR
		}
		if !out.AddDirEntry(fuse.DirEntry{Name: list[i].Name(), Mode: mode, Off: uint64(i + 1)}) {
			break
		}
	}
	return fuse.OK
}

// OpenDir opens a directory, which is no handle to the server.
func (c *requests) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	_, status := c.enter("opendir", in.NodeId)
	defer c.share.mu.Unlock()
	c.share.last++
	out.Fh = c.share.last
	return status
}

// ReleaseDir closes a directory.
func (c *requests) ReleaseDir(in *fuse.ReleaseIn) {
	c.share.mu.Lock()
	defer c.share.mu.Unlock()
	delete(c.listings, in.Fh)
}

// FsyncDir has nothing to do: the server has all names.
func (c *requests) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	_, status := c.enter("fsyncdir", in.NodeId)
	defer c.share.mu.Unlock()
	return status
}
