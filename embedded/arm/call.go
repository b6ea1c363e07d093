package arm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Call makes a request of the server to itself, as who made another one: it
// may do no more than that. The target is a path with its query. A body that
// is not nil is sent as JSON. What the caller holds of a resource group while
// it calls must not be waited for: do not call writes from a handler, only
// from an operation.
func (s *Server) Call(ctx context.Context, by *Request, method, target string, body any) (*Response, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("encode body of %s: %w", target, err)
		}
	}
	r, err := by.with(ctx, method, target, data)
	if err != nil {
		return nil, err
	}
	if err := checkPath(r.URL); err != nil {
		return nil, err
	}
	path := split(r.URL)
	rt, vars, err := s.find(method, path)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(r.Principal, rt.action, path, vars); err != nil {
		return nil, err
	}
	r.Vars = vars
	return s.enterAndCall(rt, path, r)
}

// with returns another request of the same principal.
func (r *Request) with(ctx context.Context, method, target string, body []byte) (*Request, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.BaseURL+target, bytes.NewReader(body))
	if err != nil {
		return nil, BadRequest("InvalidRequestUri", "The request path '%s' is invalid.", target)
	}
	return &Request{Request: request, Principal: r.Principal, Body: body, BaseURL: r.BaseURL}, nil
}

// Await waits until what a response of Call began has ended, and returns the
// error with which it failed. One that began nothing has ended.
func (s *Server) Await(ctx context.Context, response *Response) error {
	at := response.Header.Get("Azure-AsyncOperation")
	if at == "" {
		at = response.Header.Get("Location")
	}
	u, err := url.Parse(at)
	if err != nil || at == "" {
		return nil
	}
	path := split(u)
	op := s.operations.get(path[len(path)-1])
	if op == nil {
		return nil
	}
	select {
	case <-op.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if op.err != nil {
		return op.failure()
	}
	return nil
}

// Into decodes the body of a response of Call.
func (response *Response) Into(v any) error {
	data, err := json.Marshal(response.Body)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// collect calls the handler of a list of resources for one who may read the
// whole of it, page by page, and returns the resources.
func (s *Server) collect(by *Request, rt route, target string) ([]Resource, error) {
	var all []Resource
	for target != "" {
		r, err := by.with(by.Context(), http.MethodGet, target, nil)
		if err != nil {
			return nil, err
		}
		vars, ok := rt.match(split(r.URL))
		if !ok {
			return nil, fmt.Errorf("list %s: the path does not fit", target)
		}
		r.Vars = vars
		response, err := s.call(rt.handler, r)
		if err != nil {
			return nil, err
		}
		var page List[Resource]
		if err := response.Into(&page); err != nil {
			return nil, err
		}
		all = append(all, page.Value...)
		target = strings.TrimPrefix(page.NextLink, r.BaseURL)
	}
	return all, nil
}
