package arm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// keepOperations is how long the outcome of an operation can be asked for.
const keepOperations = time.Hour

// longPoll is how long a poll waits for an operation to end, so that its
// client hears of the end at once instead of a poll later.
const longPoll = time.Second

// operation is one long running request.
type operation struct {
	id string
	// owner is the object id of who started it, path what it works on.
	owner, path string
	started     time.Time
	done        chan struct{}
	// ended and err are set before done is closed.
	ended time.Time
	err   error
}

// operations owns the goroutines of all operations.
type operations struct {
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex
	closed bool
	byID   map[string]*operation
}

func newOperations(log *slog.Logger) *operations {
	ctx, cancel := context.WithCancel(context.Background())
	return &operations{log: log, ctx: ctx, cancel: cancel, byID: map[string]*operation{}}
}

func (o *operations) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.cancel()
	o.wg.Wait()
}

// start runs fn until it ends or the server closes.
func (o *operations) start(owner, path string, fn func(ctx context.Context) error) *operation {
	op := &operation{id: uuid.NewString(), owner: owner, path: path, started: time.Now(), done: make(chan struct{})}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(time.Now().Add(-keepOperations))
	o.byID[op.id] = op
	if o.closed {
		op.finish(context.Canceled)
		return op
	}
	o.wg.Go(func() {
		err := run(o.ctx, fn)
		if err != nil {
			o.log.Warn("operation failed", "path", path, "operation", op.id, "error", err)
		}
		op.finish(err)
	})
	return op
}

// join returns the running operation on a path, or starts one.
func (o *operations) join(owner, path string, fn func(ctx context.Context) error) *operation {
	o.mu.Lock()
	for _, op := range o.byID {
		if op.path == path && !op.finished() {
			o.mu.Unlock()
			return op
		}
	}
	o.mu.Unlock()
	return o.start(owner, path, fn)
}

// forget drops what ended before a time. The caller holds the lock.
func (o *operations) forget(before time.Time) {
	for id, op := range o.byID {
		if op.finished() && op.ended.Before(before) {
			delete(o.byID, id)
		}
	}
}

func (o *operations) get(id string) *operation {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.byID[strings.ToLower(id)]
}

// run calls fn and turns its panic into an error.
func run(ctx context.Context, fn func(ctx context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return fn(ctx)
}

func (op *operation) finish(err error) {
	op.err, op.ended = err, time.Now()
	close(op.done)
}

func (op *operation) finished() bool {
	select {
	case <-op.done:
		return true
	default:
		return false
	}
}

// wait returns when the operation has ended, the client has gone, or a poll
// has waited long enough.
func (op *operation) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, longPoll)
	defer cancel()
	select {
	case <-op.done:
	case <-ctx.Done():
	}
}

// failure is the *Error of an operation that has failed, always with the status
// of an error: whoever follows it by its Location judges by that.
func (op *operation) failure() *Error {
	var e *Error
	switch {
	case errors.As(op.err, &e) && e.Status < http.StatusBadRequest:
		failed := *e
		failed.Status = http.StatusConflict
		return &failed
	case e != nil:
		return e
	case errors.Is(op.err, context.Canceled):
		return &Error{Status: http.StatusServiceUnavailable, Code: "Canceled", Message: "The operation was canceled."}
	default:
		return internal(op.id, op.err)
	}
}
