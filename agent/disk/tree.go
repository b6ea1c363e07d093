// Package disk measures what directories hold. It exists because nobody outside
// of a container group can see its volumes, while the kubelet must know when a
// pod has more in them than it may. A look at a directory with many files takes
// long, so that what it costs is bounded here as well.
package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"frankenetes.dev/agent/protocol"
	"golang.org/x/sys/unix"
)

// Tree adds up what a directory and all below it take, as du(1) does, but stays
// where dir is mounted. What was last changed before since does not count: in a
// container's root file system that is what came with its image. Nobody can set
// that time of a file.
func Tree(ctx context.Context, dir string, since time.Time) (protocol.Disk, error) {
	top, err := os.Open(dir)
	if err != nil {
		return protocol.Disk{}, fmt.Errorf("measure: %w", err)
	}
	defer top.Close()
	w := walk{since: since, links: map[uint64]bool{}}
	if w.top, err = stat(int(top.Fd()), ""); err != nil {
		return protocol.Disk{}, fmt.Errorf("measure %s: %w", dir, err)
	}
	w.count(w.top)
	if err := w.directory(ctx, top); err != nil {
		return protocol.Disk{}, fmt.Errorf("measure %s: %w", dir, err)
	}
	w.sum.Time = time.Now()
	return w.sum, nil
}

// batch is how many names of a directory are read at once: one may have more
// than there is memory for.
const batch = 256

// walk is one look at a tree. No name is looked up but in the directory that it
// was read from, so that it is safe where programs change things meanwhile.
type walk struct {
	since time.Time
	top   unix.Statx_t
	// links are the files of several names that were counted.
	links map[uint64]bool
	sum   protocol.Disk
}

func (w *walk) directory(ctx context.Context, dir *os.File) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		names, err := dir.Readdirnames(batch)
		for _, name := range names {
			if err := w.entry(ctx, dir, name); err != nil && !isGone(err) {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		if errors.Is(err, io.EOF) || isGone(err) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (w *walk) entry(ctx context.Context, dir *os.File, name string) error {
	s, err := stat(int(dir.Fd()), name)
	if err != nil {
		return err
	}
	if s.Mode&unix.S_IFMT != unix.S_IFDIR {
		w.count(s)
		return nil
	}
	if w.isElsewhere(s) {
		return nil
	}
	w.count(s)
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	below := os.NewFile(uintptr(fd), name)
	defer below.Close()
	return w.directory(ctx, below)
}

// isElsewhere reports whether something else is mounted at a directory. Kernels
// before 5.8 do not number mounts; there it is noticed only if it is of another
// device.
func (w *walk) isElsewhere(s unix.Statx_t) bool {
	return s.Dev_major != w.top.Dev_major || s.Dev_minor != w.top.Dev_minor || s.Mnt_id != w.top.Mnt_id
}

func (w *walk) count(s unix.Statx_t) {
	if time.Unix(s.Ctime.Sec, int64(s.Ctime.Nsec)).Before(w.since) {
		return
	}
	if s.Nlink > 1 && s.Mode&unix.S_IFMT != unix.S_IFDIR {
		if w.links[s.Ino] {
			return
		}
		w.links[s.Ino] = true
	}
	w.sum.Bytes += s.Blocks * blockSize
	w.sum.Inodes++
}

// blockSize is that of stat(2), whatever the file system's is.
const blockSize = 512

// stat describes what a name in a directory stands for; no name is the directory.
func stat(dir int, name string) (unix.Statx_t, error) {
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var s unix.Statx_t
	err := unix.Statx(dir, name, flags, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &s)
	return s, err
}

// isGone reports whether something was removed, or replaced, since it was listed.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP)
}
