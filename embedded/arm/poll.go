package arm

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// pollAfter is what a client is told to wait; whole seconds are all that
// Retry-After can say, azcore prefers milliseconds.
const pollAfter, pollAfterMilliseconds = "1", "20"

// Async starts an operation that the server owns and returns the headers by
// which the request's client follows it: where the operation's status is, and
// where to find what came of it, which of a PUT is the resource. The
// operation's context ends when the server closes. An *Error that fn returns
// is what the client hears.
func (s *Server) Async(r *Request, fn func(ctx context.Context) error) http.Header {
	op := s.operations.start(r.Principal.ObjectID, r.Path(), fn)
	namespace, _ := provider(split(r.URL))
	if namespace == "" {
		namespace = resourcesNamespace
	}
	header := s.location(r, op)
	if r.Method == http.MethodPut {
		header.Set("Location", r.BaseURL+r.URL.RequestURI())
	}
	header.Set("Azure-AsyncOperation", fmt.Sprintf("%s/subscriptions/%s/providers/%s/locations/%s/operations/%s?%s",
		r.BaseURL, s.opts.Subscription, url.PathEscape(namespace), s.opts.Location, op.id, pollQuery(r, op)))
	return header
}

// location returns the headers of an operation that is followed by its
// Location, as resource groups are.
func (s *Server) location(r *Request, op *operation) http.Header {
	header := pollHeader()
	header.Set("Location", fmt.Sprintf("%s/subscriptions/%s/operationresults/%s?%s",
		r.BaseURL, s.opts.Subscription, op.id, pollQuery(r, op)))
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
	if op == nil {
		return s.earlier(r)
	}
	if op.owner != r.Principal.ObjectID && !s.Allowed(r.Principal, "Microsoft.Resources/operations/read", op.path) {
		return nil, noOperation(r)
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
