package openapi

import (
	"cmp"
	"slices"
	"strings"
)

// operation is one that a document describes.
type operation struct {
	doc      *document
	method   string
	template []string
	// Responses are by status code, or "default".
	Responses map[string]struct{ Schema *schema }
}

// segments splits a path, without its empty segments.
func segments(path string) []string {
	return strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
}

// namespace returns the resource provider of a path or template, in lower
// case, if the path says one.
func namespace(path []string) string {
	for i := len(path) - 2; i >= 0; i-- {
		if strings.EqualFold(path[i], "providers") && !variable(path[i+1]) {
			return strings.ToLower(path[i+1])
		}
	}
	return ""
}

func variable(segment string) bool { return strings.HasPrefix(segment, "{") }

// several are the variables that stand for more than one segment.
var several = []string{"{scope}", "{resourceId}", "{parentResourcePath}"}

// generic says whether the template is that of any resource of any provider.
func (op *operation) generic() bool {
	return slices.Contains(op.template, "{resourceId}") || slices.Contains(op.template, "{parentResourcePath}")
}

// matches compares a path with a template; names match in any case.
func matches(template, path []string) bool {
	if len(template) == 0 {
		return len(path) == 0
	}
	if len(path) == 0 {
		return false
	}
	if slices.Contains(several, template[0]) {
		return matches(template[1:], path[1:]) || matches(template, path[1:])
	}
	if !variable(template[0]) && !strings.EqualFold(template[0], path[0]) {
		return false
	}
	return matches(template[1:], path[1:])
}

// literals is how much of a template is no variable: the template with most is
// the one that is meant.
func literals(template []string) int {
	n := 0
	for _, s := range template {
		if !variable(s) {
			n++
		}
	}
	return n
}

// find returns the operation of a request in the document of its api-version,
// or of the nearest one before it, or of the first one after it. The second
// result says whether any operation has that path, with whatever method.
func (d *Documents) find(method string, path []string, version string) (*operation, bool) {
	var fits []*operation
	for _, op := range d.operations {
		if !op.generic() && matches(op.template, path) {
			fits = append(fits, op)
		}
	}
	if len(fits) == 0 {
		return nil, false
	}
	most := literals(slices.MaxFunc(fits, func(a, b *operation) int { return cmp.Compare(literals(a.template), literals(b.template)) }).template)
	fits = slices.DeleteFunc(fits, func(op *operation) bool { return literals(op.template) < most || op.method != method })
	slices.SortFunc(fits, func(a, b *operation) int { return cmp.Compare(a.doc.Info.Version, b.doc.Info.Version) })
	var best *operation
	for _, op := range fits {
		if best == nil || op.doc.Info.Version <= version {
			best = op
		}
	}
	return best, true
}
