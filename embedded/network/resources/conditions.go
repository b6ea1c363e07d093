package resources

import (
	"fmt"
	"net/http"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// condition checks the If-Match and If-None-Match of a request that is to
// change a resource with an etag, or one that is not there.
func condition(r *arm.Request, etag string, exists bool) error {
	current := etag
	if !exists {
		current = "n/a"
	}
	if r.Header.Get("If-None-Match") == "*" && exists {
		return unmet("If-None-Match", "*", current)
	}
	match := r.Header.Get("If-Match")
	if match == "" || exists && (match == "*" || bare(match) == etag) {
		return nil
	}
	return unmet("If-Match", match, current)
}

// bare returns an etag without what is around it.
func bare(etag string) string { return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`) }

func unmet(header, want, current string) error {
	return &arm.Error{Status: http.StatusPreconditionFailed, Code: "PreconditionFailed",
		Message: fmt.Sprintf("The condition '%s' in the %s header was not satisfied. The current was '%s'.", want, header, current)}
}
