package azurefiles

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// MountOptions say how a client mounts a share.
type MountOptions struct {
	// Client is the client's name, by which handles and faults know it.
	Client string
	// NoBRL keeps all locks from the server, as the option of cifs does.
	NoBRL bool
	// Reopen has the client open anew, by its path, what was closed by force,
	// as cifs does with what a lost session closed.
	Reopen bool
}

// Client is a machine that has a share mounted, with what it has cached.
type Client struct {
	share   *Share
	options MountOptions
	dir     string
	server  *fuse.Server
	served  chan struct{} // closed when no request is being served any more
	device  uint64        // of the mount, by which the kernel knows the connection

	// These belong to share.mu:

	detached bool // from the directory
	handles  map[uint64]*handle
	listings map[uint64][]os.DirEntry // of directories that are open
	frozen   bool
	dead     bool
}

// maxWrite is the most that one request reads or writes: wsize of what ACI mounts.
const maxWrite = 1 << 20

// Mount mounts the share at a directory, for a client of its own. It must be
// unmounted or killed.
func (s *Share) Mount(dir string, options MountOptions) (*Client, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := &Client{
		share: s, options: options, dir: dir, served: make(chan struct{}),
		handles: map[uint64]*handle{}, listings: map[uint64][]os.DirEntry{},
	}
	c.server, err = fuse.NewServer(&requests{fuse.NewDefaultRawFileSystem(), c}, dir, &fuse.MountOptions{
		Name: "azurefiles", FsName: "azurefiles", DirectMountStrict: true, AllowOther: true,
		EnableLocks: true, DisableReadDirPlus: true, DisableXAttrs: true, MaxWrite: maxWrite,
		Logger:        log.New(io.Discard, "", 0), // requests end without an answer when a client is killed
		IDMappedMount: true,                       // groups have their users in a namespace of their own
	})
	if err != nil {
		return nil, fmt.Errorf("mount share at %s: %w", dir, err)
	}
	go func() {
		defer close(c.served)
		c.server.Serve()
	}()
	if err := c.server.WaitMount(); err != nil {
		return nil, fmt.Errorf("mount share at %s: %w", dir, err)
	}
	var stat unix.Stat_t
	if err := unix.Stat(dir, &stat); err != nil {
		return nil, errors.Join(fmt.Errorf("look at share at %s: %w", dir, err), unix.Unmount(dir, unix.MNT_DETACH))
	}
	c.device = stat.Dev
	return c, nil
}

// Detach takes the mount away from its directory, and leaves it to those who
// have it open or mounted elsewhere, as containers have. So the next client can
// be mounted there before this one is killed.
func (c *Client) Detach() error {
	s := c.share
	s.mu.Lock()
	done := c.detached
	c.detached = true
	s.mu.Unlock()
	if done {
		return nil
	}
	if err := unix.Unmount(c.dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach share from %s: %w", c.dir, err)
	}
	return nil
}

// Unmount is the orderly end of a client: what was written is on the server.
// It fails while a file is open.
func (c *Client) Unmount() error {
	if err := unix.Unmount(c.dir, 0); err != nil {
		return fmt.Errorf("unmount share at %s: %w", c.dir, err)
	}
	<-c.served
	c.end()
	c.share.mu.Lock()
	defer c.share.mu.Unlock()
	c.detached = true
	return nil
}

// Kill is a power cut of the client: what was not synced is lost, and whoever
// uses the mount gets errors for ever. It can be called again, and after
// Unmount.
func (c *Client) Kill() error {
	if !c.end() {
		return nil
	}
	err := errors.Join(c.abort(), c.Detach())
	if err == nil {
		<-c.served
	}
	return err
}

// abort has the kernel end all requests, and whatever comes after them, for all
// who have the mount, if anybody has.
func (c *Client) abort() (err error) {
	select {
	case <-c.served: // what was its connection may be another's
		return nil
	default:
	}
	dir, err := os.MkdirTemp("", "fusectl-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(dir)) }()
	if err := unix.Mount("fusectl", dir, "fusectl", 0, ""); err != nil {
		return fmt.Errorf("mount control of FUSE: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)) }()
	connection := fmt.Sprint(unix.Minor(c.device))
	err = os.WriteFile(filepath.Join(dir, connection, "abort"), []byte("1"), 0)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

// end forgets all that the client had in memory, and reports whether that is news.
func (c *Client) end() bool {
	s := c.share
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.dead {
		return false
	}
	c.dead = true
	for _, n := range s.nodes {
		delete(n.caches, c)
		delete(n.failed, c)
		n.unlock(func(l *lock) bool { return l.local && l.handle.client == c })
	}
	if !s.options.Linger {
		for _, h := range c.handles {
			h.drop()
		}
	}
	for _, n := range s.nodes {
		if _, ok := n.known[c]; ok {
			delete(n.known, c)
			n.tidy()
		}
	}
	s.changed()
	return true
}

// Freeze stops the client's machine: no request of it is served, and it answers
// none, until Thaw. Processes that wait for it cannot be killed meanwhile.
func (c *Client) Freeze() {
	c.share.mu.Lock()
	defer c.share.mu.Unlock()
	c.frozen = true
}

// Thaw has the client go on. The first that it does is to answer what the
// server asked meanwhile.
func (c *Client) Thaw() {
	s := c.share
	s.mu.Lock()
	defer s.mu.Unlock()
	c.frozen = false
	for _, h := range c.handles {
		h.ignored = false
		if !h.closed && h.node.lease != c {
			h.node.settle(c)
		}
	}
	s.changed()
}

// silent reports whether the client cannot answer.
func (c *Client) silent() bool { return c.frozen || c.dead }

// thawed waits until the client is not frozen.
func (c *Client) thawed() fuse.Status {
	for c.frozen && !c.dead {
		c.share.wait(nil)
	}
	if c.dead {
		return fuse.Status(unix.ENOTCONN)
	}
	return fuse.OK
}

// enter begins an operation on a node: it waits for as long as it must, and
// returns with the share locked, whatever it returns.
func (c *Client) enter(name string, id uint64) (*node, fuse.Status) {
	s := c.share
	s.mu.Lock()
	status := c.thawed()
	n := s.nodes[id]
	if n == nil || !status.Ok() {
		return n, failed(status, fuse.Status(unix.ESTALE))
	}
	if s.fault == nil {
		return n, fuse.OK
	}
	fault, op := s.fault, Op{Client: c.options.Client, Name: name, Path: n.path()}
	s.mu.Unlock()
	err := fault(op)
	s.mu.Lock()
	if status := c.thawed(); !status.Ok() {
		return n, status
	}
	return n, toStatus(err)
}

// failed returns the first of two that is not OK.
func failed(a, b fuse.Status) fuse.Status {
	if a.Ok() {
		return b
	}
	return a
}

// toStatus returns the number of an error, which may be wrapped.
func toStatus(err error) fuse.Status {
	var number unix.Errno
	if err == nil || errors.As(err, &number) {
		return fuse.Status(number)
	}
	return fuse.EIO
}
