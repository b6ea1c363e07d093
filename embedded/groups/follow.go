package groups

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// logCloses is how long after the end of a container its log may take to be
// closed. The runtime does both at once.
const logCloses = time.Second

// follower reads what a run of a container writes from some moment on. It
// reads the log, and not, by the runtime's own means, the output itself: a
// reader that is slow holds up nobody, there may be several, and nothing is
// lost while one connects. The price is that the runtime puts into the log
// whole lines (and parts of 16 KB): a prompt is seen with the end of its line.
type follower struct {
	engine *engine
	run    run
	path   string
	watch  *logWatch
	// files are the log and, before it, the one that was put aside, if there is one.
	files []*logFile
}

// follow returns a follower from now on. Call close in the end.
func (e *engine) follow(of run) (*follower, error) {
	f := &follower{engine: e, run: of, path: e.logPath(of.deployment, of.container, of.attempt)}
	var err error
	if f.watch, err = watchLog(f.path); err != nil {
		return nil, err
	}
	if _, err = f.turn(); err == nil && len(f.files) == 0 {
		err = fs.ErrNotExist
	}
	for _, file := range f.files {
		if err == nil {
			_, err = file.Seek(0, io.SeekEnd)
		}
	}
	if err != nil {
		f.close()
		return nil, fmt.Errorf("follow log: %w", err)
	}
	return f, nil
}

func (f *follower) close() {
	for _, file := range f.files {
		file.Close()
	}
	f.watch.close()
}

// copy writes to w what the container writes. It returns when the container has
// ended and all was written (nil), when w fails, or when ctx is done.
func (f *follower) copy(ctx context.Context, w io.Writer) error {
	ended, unsubscribe := f.engine.watcher.subscribe(f.run.id)
	defer unsubscribe()
	over := f.over(ctx)
	var late <-chan time.Time
	for {
		if over && late == nil {
			late = time.After(logCloses)
		}
		last := over && f.watch.closed.Load()
		if err := f.drain(w); err != nil || last {
			return err
		}
		select {
		case <-f.watch.changed:
		case <-ended:
			over = over || f.over(ctx)
		case <-late:
			return f.drain(w)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// over reports whether the run has ended. While the runtime gives no answer it
// has not: the watcher wakes everyone when it does again.
func (f *follower) over(ctx context.Context) bool {
	r, err := f.engine.cri.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: f.run.id})
	if err != nil {
		return grpcstatus.Code(err) == codes.NotFound
	}
	return r.Status.State == runtimeapi.ContainerState_CONTAINER_EXITED
}

// drain writes to w all that there is to read.
func (f *follower) drain(w io.Writer) error {
	for {
		for _, file := range f.files {
			if err := file.drain(w); err != nil {
				return err
			}
		}
		more, err := f.turn()
		if err != nil || !more {
			return err
		}
	}
}

// turn opens the files that are not open yet, and reports whether there were
// any. The one that was put aside stays open beside the new one, for the runtime
// may have more for it.
func (f *follower) turn() (more bool, err error) {
	for _, path := range []string{f.path + rotated, f.path} {
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the next one is not there yet, or the group's logs are gone
		}
		if err != nil {
			return false, fmt.Errorf("open log: %w", err)
		}
		if slices.ContainsFunc(f.files, func(l *logFile) bool { return l.is(file) }) {
			file.Close()
			continue
		}
		f.files = append(f.files, &logFile{File: file})
		more = true
	}
	for len(f.files) > 2 {
		f.files[0].Close()
		f.files = f.files[1:]
	}
	return more, nil
}

// logFile is a log that is read while it is written.
type logFile struct {
	*os.File
	rest []byte // the beginning of an entry that is not all there
}

func (l *logFile) is(other *os.File) bool {
	a, err := l.Stat()
	b, err2 := other.Stat()
	return err == nil && err2 == nil && os.SameFile(a, b)
}

// drain writes to w all that there is to read.
func (l *logFile) drain(w io.Writer) error {
	buffer := make([]byte, 32<<10)
	for {
		n, err := l.Read(buffer)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		l.rest = append(l.rest, buffer[:n]...)
		if text := l.texts(); len(text) > 0 {
			if _, err := w.Write(text); err != nil {
				return err
			}
		}
	}
}

// texts takes the entries that are all there, and returns what they say.
func (l *logFile) texts() []byte {
	var texts []byte
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte("\n"))
		if !whole {
			return texts
		}
		l.rest = rest
		if e, ok := parseEntry(line); ok {
			texts = append(texts, e.text...)
			if !e.partial {
				texts = append(texts, '\n')
			}
		}
	}
}
