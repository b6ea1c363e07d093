package arm

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// skipToken is the query parameter that says after which item a page begins.
const skipToken = "$skipToken"

// Page returns the part of a list that a request is about: at most size items,
// or as many as its $top asks for if those are fewer, from where its
// $skipToken says, in the order of key, and an absolute link to the next page
// where there is one. Keys are told apart; a key that is gone by the time of
// the next page does no harm.
func Page[T any](r *Request, size int, all []T, key func(T) string) (List[T], error) {
	after, err := pageStart(r)
	if err != nil {
		return List[T]{}, err
	}
	if top := r.Query("$top"); top != "" {
		n, err := strconv.Atoi(top)
		if err != nil || n < 1 {
			return List[T]{}, BadRequest("InvalidTopParameter", "The value '%s' of $top is invalid: it must be a positive number.", top)
		}
		size = min(size, n)
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	begin := 0
	if after != "" {
		begin, _ = slices.BinarySearchFunc(all, after, func(item T, after string) int {
			if key(item) <= after {
				return -1
			}
			return 1
		})
	}
	page := List[T]{Value: []T{}}
	end := min(begin+size, len(all))
	page.Value = append(page.Value, all[begin:end]...)
	if end < len(all) {
		page.NextLink = nextLink(r, key(all[end-1]))
	}
	return page, nil
}

// pageStart returns the key after which a request's page begins, empty for the first.
func pageStart(r *Request) (string, error) {
	token := r.Query(skipToken)
	after, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", BadRequest("InvalidSkipToken", "The value '%s' of $skipToken is invalid.", token)
	}
	return string(after), nil
}

// nextLink is the request's own URL with another start.
func nextLink(r *Request, after string) string {
	query := url.Values{}
	for name, values := range r.URL.Query() {
		if !strings.EqualFold(name, skipToken) {
			query[name] = values
		}
	}
	query.Set(skipToken, base64.RawURLEncoding.EncodeToString([]byte(after)))
	return r.BaseURL + r.URL.EscapedPath() + "?" + query.Encode()
}
