package storage

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// maxSharePage is the most shares that one page of a list has.
const maxSharePage = 5000

// listShares answers a page of an account's shares. The next page starts with
// the share that its link names.
func (m *management) listShares(_ context.Context, r *arm.Request) (*arm.Response, error) {
	a, err := m.find(r)
	if err != nil {
		return nil, err
	}
	limit, err := pageSize(r)
	if err != nil {
		return nil, err
	}
	prefix, err := namePrefix(r.Query("$filter"))
	if err != nil {
		return nil, err
	}
	shares, err := m.service.shares(a.Name)
	if err != nil {
		return nil, err
	}
	list := arm.List[shareBody]{Value: []shareBody{}}
	for _, sh := range shares {
		if !strings.HasPrefix(sh.Name, prefix) || sh.Name < r.Query("$skipToken") {
			continue
		}
		if len(list.Value) == limit {
			list.NextLink = nextLink(r, sh.Name)
			break
		}
		list.Value = append(list.Value, showShare(a, sh))
	}
	return &arm.Response{Status: http.StatusOK, Body: list}, nil
}

// pageSize returns how many entries a page may have.
func pageSize(r *arm.Request) (int, error) {
	text := r.Query("$maxpagesize")
	if text == "" {
		return maxSharePage, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, arm.BadRequest("OutOfRangeQueryParameterValue", "The value '%s' of $maxpagesize is not 1 or more.", text)
	}
	return min(n, maxSharePage), nil
}

var startsWith = regexp.MustCompile(`^\s*startswith\(\s*name\s*,\s*'?([^')]*)'?\s*\)\s*$`)

// namePrefix returns what names start with that a filter lets through: the only
// filter there is on Azure, too.
func namePrefix(filter string) (string, error) {
	if filter == "" {
		return "", nil
	}
	found := startsWith.FindStringSubmatch(filter)
	if found == nil {
		return "", arm.BadRequest("InvalidQueryParameterValue", "The filter '%s' is not startswith(name, prefix).", filter)
	}
	return found[1], nil
}

// nextLink is the request's own URL with the name that the next page starts with.
func nextLink(r *arm.Request, name string) string {
	query := url.Values{}
	for key, values := range r.URL.Query() {
		if !strings.EqualFold(key, "$skipToken") {
			query[key] = values
		}
	}
	query.Set("$skipToken", name)
	return r.BaseURL + r.URL.EscapedPath() + "?" + query.Encode()
}
