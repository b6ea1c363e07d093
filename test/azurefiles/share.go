package azurefiles

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Options say how the server behaves where servers differ.
type Options struct {
	// BreakTimeout is how long the server waits for a client that does not
	// answer, before it gives to another what that one has cached. None means
	// a second.
	BreakTimeout time.Duration
	// Linger keeps the handles of a killed client open, as persistent handles
	// are, until CloseHandles.
	Linger bool
}

// Share is a file share. All its methods can be called at any time.
type Share struct {
	dir     *os.Root
	options Options

	mu sync.Mutex
	// wake is closed, and made anew, when those who wait shall look again.
	wake   chan struct{}
	root   *node
	nodes  map[uint64]*node // by the number that kernels have for them
	inodes map[uint64]*node // by that of the directory's file system
	last   uint64           // number given to a node or handle
	quota  int64
	fault  Fault
}

// New returns a share that keeps its files in a directory, over which it can
// itself be mounted. It must be closed.
func New(dir string, options Options) (*Share, error) {
	if options.BreakTimeout == 0 {
		options.BreakTimeout = time.Second
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("share: %w", err)
	}
	s := &Share{
		dir: root, options: options, wake: make(chan struct{}),
		nodes: map[uint64]*node{}, inodes: map[uint64]*node{},
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("share: %w", err), root.Close())
	}
	s.root = s.newNode(inode(info), true) // the first is what FUSE wants the root to be: 1
	return s, nil
}

// Close lets go of the directory. All clients must have ended.
func (s *Share) Close() error { return s.dir.Close() }

// changed wakes all who wait for the share.
func (s *Share) changed() {
	close(s.wake)
	s.wake = make(chan struct{})
}

// wait lets others use the share until something has changed, and reports
// false if it was stopped before.
func (s *Share) wait(stop <-chan struct{}) bool {
	wake := s.wake
	s.mu.Unlock()
	defer s.mu.Lock()
	select {
	case <-wake:
		return true
	case <-stop:
		return false
	}
}

// SetQuota limits the bytes of all files together, as the size of a share does.
// Zero is no limit.
func (s *Share) SetQuota(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quota = bytes
}

// room returns an error if the share has no room for more bytes.
func (s *Share) room(more int64) error {
	if s.quota == 0 || more <= 0 {
		return nil
	}
	used, err := s.used()
	if err == nil && used+more > s.quota {
		err = unix.ENOSPC
	}
	return err
}

// used returns the bytes of all files.
func (s *Share) used() (total int64, err error) {
	err = fs.WalkDir(s.dir.FS(), ".", func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

// Fault is called before each operation of a client. What it returns, an errno,
// is what the operation fails with; while it does not return, the operation
// takes its time.
type Fault func(Op) error

// Op is an operation of a client.
type Op struct {
	Client string
	// Name is that of the FUSE request in lower case: open, write, fsync, ...
	Name string
	// Path is that of the file, or of the directory in which a name is looked
	// up or changed. It starts with a slash.
	Path string
}

// SetFault sets what is called before each operation; nil is nothing.
func (s *Share) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}
