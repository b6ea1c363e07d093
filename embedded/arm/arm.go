// Package arm is the HTTP side of the embedded cloud's Azure Resource Manager.
// It exists so that a resource provider (container groups, storage, ...) is
// only a list of handlers: who asks, whether they may, where a request goes,
// how an error looks and how a long operation is followed is the same for all
// of them and is decided here.
package arm

import (
	"context"
	"log/slog"
	"net/http"

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

// Var returns a variable of the path.
func (r *Request) Var(name string) string { return r.Vars[name] }

// Decode reads the JSON body into v. Names are matched in any case.
func (r *Request) Decode(v any) error { return nil }

// Response is what a handler answers.
type Response struct {
	Status int
	// Header is added to the answer's; may be nil.
	Header http.Header
	// Body is sent as JSON unless nil.
	Body any
}

// Handler answers one operation. An *Error goes to the client as it is; any
// other error is logged and the client is told of an internal error.
type Handler func(ctx context.Context, r *Request) (*Response, error)

// Options are what a Server needs.
type Options struct {
	Store    *store.Store
	Verifier *identity.Authority
	// Subscription and Tenant are the ids of the only ones there are.
	Subscription, Tenant string
	// Location is the cloud's only one.
	Location string
	// Login is the authority's base URL, told by /metadata/endpoints; empty
	// means that it is served at the same host as ARM.
	Login string
	Log   *slog.Logger
}

// Server answers the ARM API.
type Server struct{}

// New makes a server with the routes that belong to ARM itself.
func New(opts Options) *Server { return &Server{} }

// Handle adds an operation.
func (s *Server) Handle(method, pattern, action string, h Handler) {}

// OnDeleteResourceGroup adds a hook.
func (s *Server) OnDeleteResourceGroup(fn func(ctx context.Context, sub, rg string) error) {}

// Async starts an operation.
func (s *Server) Async(r *Request, fn func(ctx context.Context) error) http.Header { return nil }

// ResourceGroupExists says whether there is such a group.
func (s *Server) ResourceGroupExists(sub, rg string) bool { return false }

// CheckResourceGroup returns 404 ResourceGroupNotFound where there is no such group.
func (s *Server) CheckResourceGroup(sub, rg string) error { return nil }

// Allowed says whether a principal may do an action at a scope.
func (s *Server) Allowed(p identity.Principal, action, scope string) bool { return false }

// ResumeDeletions goes on with the deletions that a daemon's end interrupted.
// Call it once, when every hook is registered.
func (s *Server) ResumeDeletions() error { return nil }

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// Close cancels running operations and waits for them.
func (s *Server) Close() {}
