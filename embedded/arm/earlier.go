package arm

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// trailParameter is the query parameter of a polling URL that says what the
// operation was about. With it, one that a daemon's end interrupted can still
// be followed: its outcome is read from the resource.
const trailParameter = "t"

// trail is what a polling URL says of its operation. Its reader is told
// nothing that a GET of the path would not tell.
type trail struct {
	Method  string    `json:"m"`
	Path    string    `json:"p"`
	Started time.Time `json:"s"`
}

// pollQuery is the query of a polling URL, and again of those that follow it.
func pollQuery(r *Request, op *operation) string {
	query := url.Values{"api-version": {r.Query("api-version")}}
	said := r.Query(trailParameter)
	if said == "" {
		data, err := json.Marshal(trail{r.Method, op.path, op.started.UTC()})
		if err == nil { // there is nothing in it that could fail
			said = base64.RawURLEncoding.EncodeToString(data)
		}
	}
	query.Set(trailParameter, said)
	return query.Encode()
}

func noOperation(r *Request) *Error {
	return &Error{Status: http.StatusNotFound, Code: "OperationNotFound",
		Message: "The operation '" + r.Var("op") + "' was not found."}
}

// earlier returns what has become of an operation of an earlier daemon, as the
// resource that it worked on shows, to who may read that.
func (s *Server) earlier(r *Request) (*operation, error) {
	var said trail
	data, err := base64.RawURLEncoding.DecodeString(r.Query(trailParameter))
	if err != nil || json.Unmarshal(data, &said) != nil || said.Path == "" || uuid.Validate(r.Var("op")) != nil {
		return nil, noOperation(r)
	}
	path := said.Path
	if said.Method == http.MethodPost { // an action on what comes before its name
		path = path[:max(0, strings.LastIndex(path, "/"))]
	}
	target := (&url.URL{Path: path}).EscapedPath() + "?api-version=" + url.QueryEscape(r.Query("api-version"))
	response, err := s.Call(r.Context(), r, http.MethodGet, target, nil)
	state, known := "", true
	var refused *Error
	switch {
	case err == nil:
		var resource Resource
		if err := response.Into(&resource); err != nil {
			return nil, err
		}
		if resource.Properties != nil {
			state = resource.Properties.ProvisioningState
		}
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound && (refused.Code == "ResourceNotFound" || refused.Code == "ResourceGroupNotFound"):
		known = false
	case errors.As(err, &refused):
		return nil, noOperation(r)
	default:
		return nil, err
	}
	op := &operation{id: strings.ToLower(r.Var("op")), path: path, started: said.Started, done: make(chan struct{})}
	if ended, failure := outcome(said.Method, known, state); ended {
		op.finish(failure)
	}
	return op, nil
}

// outcome says whether an operation has ended and how, given whether its
// resource is there and in what state.
func outcome(method string, there bool, state string) (ended bool, failure error) {
	interrupted := &Error{Status: http.StatusServiceUnavailable, Code: "OperationInterrupted",
		Message: "The operation was interrupted by a restart of the embedded cloud. Please try again."}
	terminal := state == "" || state == succeeded || state == "Failed" || state == "Canceled"
	switch {
	case method == http.MethodDelete && !there:
		return true, nil
	case method == http.MethodDelete && terminal, !there:
		return true, interrupted
	case state == "Failed" || state == "Canceled":
		return true, &Error{Status: http.StatusConflict, Code: state, Message: "The resource is in the state '" + state + "'."}
	}
	return terminal, nil
}
