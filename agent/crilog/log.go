// Package crilog keeps what a process writes, as lines of the format that the
// container runtime interface prescribes:
//
//	2016-10-06T00:17:09.669794202Z stdout F the content of the line
//
// It exists because a process outlives the connection to the node: its output
// has to be somewhere until it is fetched, and must not fill the disk.
package crilog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Limit is the size, in bytes, at which a log's file is set aside for a new
// one. One file is kept beside the current one, so a log has twice this at most.
const Limit = 10 << 20

// Log is one process's log. It is safe for concurrent use. Offsets count every
// byte ever written, also those that are no longer kept.
type Log struct {
	path  string
	limit int64

	mu sync.Mutex
	// files are the one set aside, if there is one, and the current one.
	files []*part
	ended bool
	// grown is closed, and replaced, when there is more to read; nil while
	// nobody waits.
	grown chan struct{}
}

// part is one file of a log.
type part struct {
	file *os.File
	// start is the offset of its first byte.
	start, size int64
}

// Create makes a log at path, in a directory that belongs to nobody else. Limit
// is that of one file, in bytes.
func Create(path string, limit int64) (*Log, error) {
	if err := makePrivate(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	l := &Log{path: path, limit: limit}
	if err := l.begin(0); err != nil {
		return nil, err
	}
	return l, nil
}

// makePrivate makes a directory, or makes sure that the one that is there is a
// directory of ours: its parent is open to everyone in the pod.
func makePrivate(dir string) error {
	if err := os.Mkdir(dir, 0o700); !errors.Is(err, os.ErrExist) {
		return err
	}
	var stat unix.Stat_t
	if err := unix.Lstat(dir, &stat); err != nil {
		return fmt.Errorf("stat %s: %w", dir, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFDIR || int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not a directory of user %d", dir, os.Geteuid())
	}
	return nil
}

// begin makes a new current file.
func (l *Log) begin(start int64) error {
	if len(l.files) == 2 { // its name goes to the one that is set aside now
		_ = l.files[0].file.Close()
		l.files = l.files[1:]
	}
	if len(l.files) == 1 {
		if err := os.Rename(l.path, l.path+".1"); err != nil {
			return fmt.Errorf("set log aside: %w", err)
		}
	}
	f, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o640)
	if err != nil {
		if len(l.files) == 1 { // the next line tries again
			err = errors.Join(err, os.Rename(l.path+".1", l.path))
		}
		return fmt.Errorf("create log: %w", err)
	}
	l.files = append(l.files, &part{file: f, start: start})
	return nil
}

// append adds whole lines.
func (l *Log) append(lines []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return fmt.Errorf("write log %s: %w", l.path, os.ErrClosed)
	}
	current := l.files[len(l.files)-1]
	if current.size > 0 && current.size+int64(len(lines)) > l.limit {
		if err := l.begin(current.start + current.size); err != nil {
			return err
		}
		current = l.files[len(l.files)-1]
	}
	n, err := current.file.WriteAt(lines, current.size)
	if err != nil {
		// Half a line would spoil all that follow: the next one overwrites it.
		return fmt.Errorf("write log: %w", errors.Join(err, current.file.Truncate(current.size)))
	}
	current.size += int64(n)
	l.wake()
	return nil
}

// End says that nothing will be written any more; readers that follow the log
// end when they have read it.
func (l *Log) End() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.wake()
}

func (l *Log) wake() {
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// Remove ends the log and deletes it.
func (l *Log) Remove() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, p := range l.files {
		errs = append(errs, p.file.Close())
	}
	if len(l.files) == 2 {
		errs = append(errs, os.Remove(l.path+".1"))
	}
	if len(l.files) > 0 {
		errs = append(errs, os.Remove(l.path))
	}
	l.files, l.ended = nil, true
	l.wake()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove log: %w", err)
	}
	return nil
}

// ReadAt reads into p what the log has at an offset, or after it if that part
// is no longer kept; at is where it was. At the end it waits for more if follow
// is set and the log has not ended, and returns io.EOF otherwise.
func (l *Log) ReadAt(ctx context.Context, p []byte, offset int64, follow bool) (n int, at int64, err error) {
	for {
		n, at, grown, err := l.read(p, offset)
		if n > 0 || err != nil {
			return n, at, err
		}
		if !follow || grown == nil {
			return 0, at, io.EOF
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return 0, at, context.Cause(ctx)
		}
	}
}

// read returns what is there, or, if nothing is, what to wait for: nil when
// nothing will come.
func (l *Log) read(p []byte, offset int64) (n int, at int64, grown <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at = offset
	for _, part := range l.files {
		at = max(at, part.start)
		have := part.start + part.size - at
		if have <= 0 {
			continue
		}
		n, err := part.file.ReadAt(p[:min(int64(len(p)), have)], at-part.start)
		if err != nil {
			return 0, at, nil, fmt.Errorf("read log: %w", err)
		}
		return n, at, nil, nil
	}
	if l.ended {
		return 0, at, nil, nil
	}
	if l.grown == nil {
		l.grown = make(chan struct{})
	}
	return 0, at, l.grown, nil
}
