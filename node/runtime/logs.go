package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
)

// logCopy is a container's log on the node, where the kubelet reads it. The
// agent writes the same format, so that copying bytes is all.
type logCopy struct {
	path string
	// done is closed when nothing more will be written.
	done chan struct{}

	mu   sync.Mutex
	file *os.File
	// offset is how much of the agent's log has been copied.
	offset int64
}

func newLogCopy(path string) *logCopy { return &logCopy{path: path, done: make(chan struct{})} }

// create makes the file, so that it is there when the container is.
func (l *logCopy) create() error {
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return fmt.Errorf("make log directory: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open()
}

// open opens the file if it is not open.
func (l *logCopy) open() error {
	if l.file != nil {
		return nil
	}
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	l.file = file
	return nil
}

// reopen leaves the file that was moved away and starts a new one.
func (l *logCopy) reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close()
	return l.open()
}

// close closes the file. What was written is in the kernel's hands already, so
// there is no error worth knowing.
func (l *logCopy) close() {
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
}

// Write appends to the log.
func (l *logCopy) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.open(); err != nil {
		return 0, err
	}
	n, err := l.file.Write(p)
	l.offset += int64(n)
	if err != nil {
		return n, fmt.Errorf("write log: %w", err)
	}
	return n, nil
}

func (l *logCopy) at() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.offset
}

// moveTo notes where in the agent's log the next byte comes from. It reports
// whether that is another place than after what was written: the agent's log
// is bounded and may have dropped lines, or the disk here may be full.
func (l *logCopy) moveTo(offset int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	skipped := offset != l.offset
	l.offset = offset
	return skipped
}

// position returns the offset in the agent's log up to which all is copied,
// and the size that the file has with that.
func (l *logCopy) position() (offset, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if info, err := os.Stat(l.path); err == nil {
		size = info.Size()
	}
	return l.offset, size
}

// resume goes on from a recorded position. What was written after it was
// recorded came from the agent's log byte by byte.
func (l *logCopy) resume(offset, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offset = offset
	if info, err := os.Stat(l.path); err == nil && info.Size() > size {
		l.offset += info.Size() - size
	}
}

// follow starts to copy a container's log, once. That of one that has ended is
// copied already, unless the copy was lost.
func (r *Runtime) follow(c *container) {
	c.mu.Lock()
	started := c.copying || c.state == runtimeapi.ContainerState_CONTAINER_EXITED && !c.logLost
	if !started {
		c.copying = true
	}
	c.mu.Unlock()
	if !started {
		r.tasks.start(func() { r.copyLog(c) })
	}
}

// copyLog copies until the agent says that the log is complete, over as many
// connections as that takes.
func (r *Runtime) copyLog(c *container) {
	defer close(c.log.done)
	defer func() {
		c.log.mu.Lock()
		defer c.log.mu.Unlock()
		c.log.close()
	}()
	for {
		agent, err := r.opts.Agents.Await(c.sandbox.life, protocol.ID{Group: c.sandbox.group, Container: c.place()})
		if err != nil {
			return // the group is gone
		}
		err = r.copyFrom(agent, c)
		var refusal *protocol.Error
		if errors.As(err, &refusal) && refusal.Status == http.StatusNotFound {
			r.exit(c, protocol.State{Phase: protocol.Exited, ExitCode: 137, FinishedAt: time.Now()}, "its agent does not know it")
		}
		if err == nil || refusal != nil {
			return
		}
		r.log.Debug("copying a log was interrupted", "container", c.name(), "group", c.sandbox.group, "error", err)
		if again(c.sandbox.life, agent) != nil {
			return
		}
	}
}

// copyFrom copies over one connection; nil means that the log is complete. What
// cannot be written (a full disk) is lost, so that the container's end is
// still noticed.
func (r *Runtime) copyFrom(agent *protocol.Client, c *container) error {
	log, err := agent.Logs(c.sandbox.life, c.id, c.log.at(), true)
	if err != nil {
		return err
	}
	defer log.Close()
	buffer := make([]byte, protocol.MaxData)
	for {
		n, err := log.Read(buffer)
		if n > 0 {
			if _, err := c.log.Write(buffer[:n]); err != nil {
				r.log.Warn("a part of a log is lost", "container", c.name(), "bytes", n, "error", err)
			}
		}
		if at, ok := log.(interface{ Offset() int64 }); ok && c.log.moveTo(at.Offset()) {
			r.record(c.sandbox)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// reconnectPause is the time before a request is made again that failed on a
// connection which still stands.
const reconnectPause = time.Second

// again waits until a failed request is worth another attempt.
func again(ctx context.Context, agent *protocol.Client) error {
	select {
	case <-agent.Done():
	case <-time.After(reconnectPause):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
