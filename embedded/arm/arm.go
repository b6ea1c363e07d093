// Package arm is the HTTP side of the embedded cloud's Azure Resource Manager.
// It exists so that a resource provider (container groups, storage, ...) is
// only a list of handlers: who asks, whether they may, where a request goes,
// how an error looks and how a long operation is followed is the same for all
// of them and is decided here.
package arm

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"frankenetes.dev/embedded/identity"
	"frankenetes.dev/embedded/store"
)

// Request is an authenticated and authorized request.
type Request struct {
	*http.Request
	// Vars are the path's variables, in the case in which they were sent.
	Vars map[string]string
	// Principal is who asks.
	Principal identity.Principal
	// Body is the whole body.
	Body []byte
	// BaseURL is https://host as the client sees it.
	BaseURL string
}

// Var returns a variable of the path, empty if there is none of that name.
func (r *Request) Var(name string) string { return r.Vars[name] }

// Query returns a query parameter, whose name is matched in any case.
func (r *Request) Query(name string) string { return query(r.Request, name) }

// Path returns the path without empty segments, in the case in which it was sent.
func (r *Request) Path() string { return "/" + strings.Join(split(r.URL), "/") }

// Decode reads the JSON body into v. Names are matched in any case; unknown
// ones are passed over. What is no JSON, or of the wrong types, is an *Error 400.
func (r *Request) Decode(v any) error {
	decoder := json.NewDecoder(bytes.NewReader(r.Body))
	err := decoder.Decode(v)
	if err == nil {
		if _, more := decoder.Token(); more == io.EOF {
			return nil
		}
		return BadRequest("InvalidRequestContent", "The request content was invalid: there is more than one JSON value.")
	}
	if err == io.EOF {
		return BadRequest("InvalidRequestContent", "The request content was invalid: the body is empty.")
	}
	return BadRequest("InvalidRequestContent", "The request content was invalid and could not be deserialized: '%v'.", err)
}

// Response is what a handler answers.
type Response struct {
	Status int
	// Header is added to the answer's; may be nil.
	Header http.Header
	// Body is sent as JSON unless nil.
	Body any
}

// List is the body of every answer that lists resources.
type List[T any] struct {
	Value    []T    `json:"value"`
	NextLink string `json:"nextLink,omitempty"`
}

// Handler answers one operation. Its context does not end when the client
// goes, so that what was begun is done; r.Context() does. An *Error goes to the
// client as it is; any other error, and a panic, is logged and the client is
// told of an internal error.
type Handler func(ctx context.Context, r *Request) (*Response, error)

// Options are what a Server needs.
type Options struct {
	Store    *store.Store
	Verifier *identity.Authority
	// Subscription and Tenant are the ids of the only ones there are.
	Subscription, Tenant string
	// Location is the cloud's only one.
	Location string
	// Login is the authority's base URL, told to clients that ask; empty
	// means that it is served at the same host as ARM.
	Login string
	Log   *slog.Logger
}

// Server answers the ARM API. Register every route and hook before serving.
type Server struct {
	opts       Options
	log        *slog.Logger
	routes     []route
	hooks      []deletionHook
	lastHooks  []deletionHook
	operations *operations
	groups     groups
	// groupsMu is held by whatever changes the record of a resource group.
	groupsMu sync.Mutex
	// gates holds a *sync.RWMutex for each resource group: see enter.
	gates sync.Map
}

// New makes a server with the routes that belong to ARM itself.
func New(opts Options) *Server {
	s := &Server{
		opts:       opts,
		log:        opts.Log,
		operations: newOperations(opts.Log),
		groups:     groups{store: opts.Store},
	}
	s.registerSubscriptions()
	s.registerProviders()
	s.registerResourceGroups()
	s.registerResources()
	s.registerOperations()
	return s
}

// Close cancels the running operations and waits for them.
func (s *Server) Close() { s.operations.close() }

// Allowed says whether a principal may do an action, such as
// "Microsoft.ContainerInstance/containerGroups/read", at a scope, an ARM id.
// Lists use it to leave out what their reader may not see.
func (s *Server) Allowed(p identity.Principal, action, scope string) bool {
	return s.opts.Verifier.Allowed(p, action, scope)
}

// Location returns a location in the form in which resources keep it: lower
// case, no blanks; the cloud's own where name is empty.
func (s *Server) Location(name string) string {
	if name == "" {
		name = s.opts.Location
	}
	return strings.ToLower(strings.ReplaceAll(name, " ", ""))
}
