package arm

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one operation: a method, a pattern and what answers it.
type route struct {
	method   string
	segments []string
	// scoped patterns start with a variable of any number of segments.
	scoped  bool
	action  string
	handler Handler
}

// scopeVar is the variable that a scoped pattern starts with.
const scopeVar = "{scope...}"

// Handle adds an operation. A pattern is a path whose variables stand in
// braces, one segment each; {scope...} at its start stands for one or more.
// Literals match in any case. The action is what a role must allow at the
// request's path; an empty one is allowed to every authenticated principal,
// and the handler decides.
func (s *Server) Handle(method, pattern, action string, h Handler) {
	rt := route{method: method, action: action, handler: h}
	rt.segments = strings.Split(strings.Trim(pattern, "/"), "/")
	if rt.segments[0] == scopeVar {
		rt.scoped = true
		rt.segments = rt.segments[1:]
	}
	s.routes = append(s.routes, rt)
	// The most literal pattern is the one that is meant.
	slices.SortStableFunc(s.routes, func(a, b route) int { return b.literals() - a.literals() })
}

func isVar(segment string) bool { return strings.HasPrefix(segment, "{") }

func (rt route) literals() int {
	n := 0
	for _, segment := range rt.segments {
		if !isVar(segment) {
			n++
		}
	}
	return n
}

// match returns the variables of a path that fits.
func (rt route) match(path []string) (map[string]string, bool) {
	vars := map[string]string{}
	if rt.scoped {
		lead := len(path) - len(rt.segments)
		if lead < 1 {
			return nil, false
		}
		vars["scope"] = "/" + strings.Join(path[:lead], "/")
		path = path[lead:]
	}
	if len(path) != len(rt.segments) {
		return nil, false
	}
	for i, segment := range rt.segments {
		if isVar(segment) {
			vars[strings.Trim(segment, "{}")] = path[i]
		} else if !strings.EqualFold(segment, path[i]) {
			return nil, false
		}
	}
	return vars, true
}

// find returns the route of a request, or the *Error that says why there is none.
func (s *Server) find(method string, path []string) (route, map[string]string, error) {
	var other []string
	var readable *route
	for _, rt := range s.routes {
		vars, ok := rt.match(path)
		if !ok {
			continue
		}
		if rt.method == method {
			return rt, vars, nil
		}
		other = append(other, rt.method)
		if rt.method == http.MethodGet && readable == nil {
			readable = &rt
		}
	}
	if method == http.MethodHead && readable != nil {
		vars, _ := readable.match(path)
		return *readable, vars, nil
	}
	if len(other) > 0 {
		return route{}, nil, &Error{Status: http.StatusMethodNotAllowed, Code: "MethodNotAllowed",
			Message: "The HTTP method '" + method + "' is not supported at scope '/" + strings.Join(path, "/") + "'."}
	}
	return route{}, nil, s.unknown(path)
}

// unknown says what about a path is not known.
func (s *Server) unknown(path []string) *Error {
	namespace, kind := provider(path)
	if namespace == "" {
		return &Error{Status: http.StatusNotFound, Code: "NotFound",
			Message: "There is nothing at '/" + strings.Join(path, "/") + "'."}
	}
	if s.provider(namespace) == nil {
		return &Error{Status: http.StatusNotFound, Code: "InvalidResourceNamespace",
			Message: "The resource namespace '" + namespace + "' is invalid."}
	}
	return &Error{Status: http.StatusNotFound, Code: "InvalidResourceType",
		Message: "The resource type '" + kind + "' could not be found in the namespace '" + namespace + "'."}
}

// provider returns the namespace and the resource type that a path is about:
// what follows its last "providers" segment. Both are empty where there is none.
func provider(path []string) (namespace, kind string) {
	last := -1
	for i, segment := range path {
		if strings.EqualFold(segment, "providers") {
			last = i
		}
	}
	if last < 0 || last+1 >= len(path) {
		return "", ""
	}
	var types []string
	for i := last + 2; i < len(path); i += 2 {
		types = append(types, path[i])
	}
	return path[last+1], strings.Join(types, "/")
}

// split returns the segments of a URL's path, decoded, without empty ones:
// clients send both // and a slash at the end. A segment that would not be one
// any more once it is decoded stays as it is, so that the path that is
// authorized is the path that is meant.
func split(u *url.URL) []string {
	var segments []string
	for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
		if segment == "" {
			continue
		}
		if decoded, err := url.PathUnescape(segment); err == nil && !divides(decoded) {
			segment = decoded
		}
		segments = append(segments, segment)
	}
	return segments
}

// divides reports whether others might take a segment for more than one, or for
// the end of the path.
func divides(segment string) bool { return strings.ContainsAny(segment, "/\\\x00") }

// checkPath refuses paths that are not the same to everyone: whoever resolves
// dots, or decodes before splitting, comes to another one, which may be in a
// resource group that was not authorized. Nothing has such a name.
func checkPath(u *url.URL) error {
	for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
		decoded, err := url.PathUnescape(segment)
		if err != nil || divides(decoded) || decoded == "." || decoded == ".." {
			return BadRequest("InvalidRequestUri", "The segment '%s' of the request path is invalid.", segment)
		}
	}
	return nil
}

// query returns a query parameter whose name is matched in any case.
func query(r *http.Request, name string) string {
	for key, values := range r.URL.Query() {
		if strings.EqualFold(key, name) && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}
