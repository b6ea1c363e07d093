package arm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/identity"
)

// maxBody is the largest body that is read, as in Azure.
const maxBody = 4 << 20

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := uuid.NewString()
	s.identify(w.Header(), r, id, start)

	response, err := s.answer(w, r)
	if err != nil {
		response = s.failure(err, r, id)
	}
	s.write(w, r, response)
	s.log.Debug("arm request", "method", r.Method, "path", r.URL.Path, "status", response.Status,
		"took", time.Since(start), "request", id)
}

// identify sets the headers that every answer has.
func (s *Server) identify(h http.Header, r *http.Request, id string, now time.Time) {
	correlation := r.Header.Get("x-ms-correlation-request-id")
	if uuid.Validate(correlation) != nil {
		correlation = id
	}
	h.Set("x-ms-request-id", id)
	h.Set("x-ms-correlation-request-id", correlation)
	h.Set("x-ms-routing-request-id", strings.ToUpper(s.opts.Location)+":"+now.UTC().Format("20060102T150405Z")+":"+id)
	if strings.EqualFold(r.Header.Get("x-ms-return-client-request-id"), "true") {
		h.Set("x-ms-client-request-id", r.Header.Get("x-ms-client-request-id"))
	}
	// The buckets from which Azure takes requests; nothing is ever taken here.
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.Set("x-ms-ratelimit-remaining-subscription-reads", "250")
	case http.MethodDelete:
		h.Set("x-ms-ratelimit-remaining-subscription-deletes", "200")
	default:
		h.Set("x-ms-ratelimit-remaining-subscription-writes", "200")
	}
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
}

// answer takes a request through the checks that come before every handler.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) (*Response, error) {
	path := split(r.URL)
	base := "https://" + r.Host
	if r.Method == http.MethodGet && isPath(path, "metadata", "endpoints") {
		return s.endpoints(base), nil
	}
	principal, err := s.authenticate(w, r)
	if err != nil {
		return nil, err
	}
	if err := checkPath(r.URL); err != nil {
		return nil, err
	}
	if err := checkVersion(r); err != nil {
		return nil, err
	}
	rt, vars, err := s.find(r.Method, path)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(principal, rt.action, path, vars); err != nil {
		return nil, err
	}
	// Before it enters: a client that sends slowly must hold up no deletion.
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return s.enterAndCall(rt, path, &Request{Request: r, Vars: vars, Principal: principal, Body: body, BaseURL: base})
}

// enterAndCall calls the handler of a request that may be made.
func (s *Server) enterAndCall(rt route, path []string, r *Request) (*Response, error) {
	leave, err := s.enter(r.Method, rt, r.Vars)
	if err != nil {
		return nil, err
	}
	defer leave()
	response, err := s.call(rt.handler, r)
	if err == nil && r.Method == http.MethodDelete && r.Vars["rg"] != "" && !rt.isResourceGroup() {
		s.DropRoles("/" + strings.Join(path, "/"))
	}
	return response, err
}

var apiVersion = regexp.MustCompile(`(?i)^\d{4}-\d{2}-\d{2}(-[a-z]+)?$`)

// checkVersion wants a version; which one makes no difference.
func checkVersion(r *http.Request) error {
	version := query(r, "api-version")
	if version == "" {
		return BadRequest("MissingApiVersionParameter",
			"The api-version query parameter (?api-version=) is required for all requests.")
	}
	if !apiVersion.MatchString(version) {
		return BadRequest("InvalidApiVersionParameter",
			"The api-version '%s' is invalid: a version is a date such as '2023-05-01', perhaps with '-preview'.", version)
	}
	return nil
}

// authenticate returns the principal of the request's bearer token.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request) (identity.Principal, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	refusal := &Error{Status: http.StatusUnauthorized, Code: "AuthenticationFailed",
		Message: "Authentication failed. The 'Authorization' header is missing or is no bearer token."}
	if strings.EqualFold(scheme, "Bearer") && token != "" {
		principal, err := s.opts.Verifier.Verify(token)
		if err == nil {
			return principal, nil
		}
		refusal.Code, refusal.Message = "InvalidAuthenticationToken", "The access token is invalid."
		if errors.Is(err, identity.ErrExpired) {
			refusal.Code, refusal.Message = "ExpiredAuthenticationToken", "The access token has expired."
		}
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer authorization_uri=%q, error="invalid_token", error_description=%q`,
		s.login("https://"+r.Host)+"/"+s.opts.Tenant, refusal.Message))
	return identity.Principal{}, refusal
}

// authorize checks the subscription and the principal's roles.
func (s *Server) authorize(p identity.Principal, action string, path []string, vars map[string]string) error {
	if sub, ok := vars["sub"]; ok && !strings.EqualFold(sub, s.opts.Subscription) {
		return &Error{Status: http.StatusNotFound, Code: "SubscriptionNotFound",
			Message: "The subscription '" + sub + "' could not be found."}
	}
	scope := "/" + strings.Join(path, "/")
	if action == "" || s.Allowed(p, action, scope) {
		return nil
	}
	return Forbidden(p, action, scope)
}

// Forbidden says that a principal has no role for an action at a scope.
func Forbidden(p identity.Principal, action, scope string) *Error {
	return &Error{Status: http.StatusForbidden, Code: "AuthorizationFailed",
		Message: fmt.Sprintf("The client '%s' with object id '%s' does not have authorization to perform action '%s' over scope '%s' "+
			"or the scope is invalid. If access was recently granted, please refresh your credentials.",
			p.ClientID, p.ObjectID, action, scope)}
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestContentTooLarge",
			Message: fmt.Sprintf("The request content size exceeds the maximum size of %d bytes.", maxBody)}
	case err != nil:
		return nil, BadRequest("InvalidRequestContent", "The request content could not be read.")
	}
	return body, nil
}

// call runs a handler and turns its panic into an error.
func (s *Server) call(h Handler, r *Request) (response *Response, err error) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			response, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h(context.WithoutCancel(r.Context()), r)
}

// failure turns an error into an answer.
func (s *Server) failure(err error, r *http.Request, id string) *Response {
	var e *Error
	if !errors.As(err, &e) {
		s.log.Error("arm request failed", "method", r.Method, "path", r.URL.Path, "request", id, "error", err)
		e = internal(id, err)
	}
	response := &Response{Status: e.Status, Header: http.Header{}, Body: map[string]any{"error": e.body()}}
	if e.RetryAfter > 0 {
		response.Header.Set("Retry-After", strconv.Itoa(int(math.Ceil(e.RetryAfter.Seconds()))))
	}
	return response
}

// write sends an answer.
func (s *Server) write(w http.ResponseWriter, r *http.Request, response *Response) {
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	if r.Method == http.MethodHead && response.Status == http.StatusOK {
		response.Status = http.StatusNoContent
	}
	if response.Body == nil || response.Status == http.StatusNoContent {
		w.WriteHeader(response.Status)
		return
	}
	body, err := json.Marshal(response.Body)
	if err != nil {
		s.log.Error("encode arm answer", "method", r.Method, "path", r.URL.Path, "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(response.Status)
	if _, err := w.Write(body); err != nil {
		s.log.Debug("send arm answer", "path", r.URL.Path, "error", err)
	}
}
