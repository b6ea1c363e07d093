package arm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

const (
	// keepOperations is how long the outcome of an operation can be asked for.
	keepOperations = time.Hour
	// longPoll is how long a poll waits for an operation to end, so that its
	// client hears of the end at once instead of a poll later.
	longPoll = time.Second
	// pollAfter is what a client is told to wait; whole seconds are all that
	// Retry-After can say, azcore prefers milliseconds.
	pollAfter, pollAfterMilliseconds = "1", "20"
)

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

// failure is the *Error of an operation that has failed.
func (op *operation) failure() *Error {
	var e *Error
	switch {
	case errors.As(op.err, &e):
		return e
	case errors.Is(op.err, context.Canceled):
		return &Error{Status: http.StatusServiceUnavailable, Code: "Canceled", Message: "The operation was canceled."}
	default:
		return internal(op.id)
	}
}

// Async starts an operation that the server owns and returns the headers by
// which the request's client follows it. The operation's context ends when the
// server closes. An *Error that fn returns is what the client hears.
func (s *Server) Async(r *Request, fn func(ctx context.Context) error) http.Header {
	op := s.operations.start(r.Principal.ObjectID, r.Path(), fn)
	namespace, _ := provider(split(r.URL))
	if namespace == "" {
		namespace = "Microsoft.Resources"
	}
	header := pollHeader()
	header.Set("Azure-AsyncOperation", fmt.Sprintf("%s/subscriptions/%s/providers/%s/locations/%s/operations/%s?api-version=%s",
		r.BaseURL, s.opts.Subscription, url.PathEscape(namespace), s.opts.Location, op.id, url.QueryEscape(r.Query("api-version"))))
	return header
}

// location returns the headers of an operation that is followed by its
// Location, as resource groups are.
func (s *Server) location(r *Request, op *operation) http.Header {
	header := pollHeader()
	header.Set("Location", fmt.Sprintf("%s/subscriptions/%s/operationresults/%s?api-version=%s",
		r.BaseURL, s.opts.Subscription, op.id, url.QueryEscape(r.Query("api-version"))))
	return header
}

func pollHeader() http.Header {
	header := http.Header{}
	header.Set("Retry-After", pollAfter)
	header.Set("Retry-After-Ms", pollAfterMilliseconds)
	return header
}

func (s *Server) registerOperations() {
	s.Handle(http.MethodGet, "/subscriptions/{sub}/providers/{ns}/locations/{loc}/operations/{op}", "", s.operationStatus)
	s.Handle(http.MethodGet, "/subscriptions/{sub}/operationresults/{op}", "", s.operationResult)
}

// poll returns the operation of a request, to who started it or may read what
// it works on, once it has ended or has been waited for.
func (s *Server) poll(r *Request) (*operation, error) {
	op := s.operations.get(r.Var("op"))
	if op == nil || op.owner != r.Principal.ObjectID && !s.Allowed(r.Principal, "Microsoft.Resources/operations/read", op.path) {
		return nil, &Error{Status: http.StatusNotFound, Code: "OperationNotFound",
			Message: "The operation '" + r.Var("op") + "' was not found."}
	}
	op.wait(r.Context())
	return op, nil
}

// operationStatus answers a poll of Azure-AsyncOperation.
func (s *Server) operationStatus(_ context.Context, r *Request) (*Response, error) {
	op, err := s.poll(r)
	if err != nil {
		return nil, err
	}
	body := map[string]any{
		"id": r.Path(), "name": op.id, "status": "InProgress", "startTime": op.started.UTC(),
	}
	if op.finished() {
		body["endTime"] = op.ended.UTC()
		body["status"] = "Succeeded"
		if op.err != nil {
			body["status"], body["error"] = "Failed", op.failure().body()
		}
	}
	return &Response{Status: http.StatusOK, Header: pollHeader(), Body: body}, nil
}

// operationResult answers a poll of Location.
func (s *Server) operationResult(_ context.Context, r *Request) (*Response, error) {
	op, err := s.poll(r)
	if err != nil {
		return nil, err
	}
	if !op.finished() {
		return &Response{Status: http.StatusAccepted, Header: s.location(r, op)}, nil
	}
	if op.err != nil {
		return nil, op.failure()
	}
	return &Response{Status: http.StatusOK, Header: pollHeader()}, nil
}
