package storage

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxSkew is how far a request's date may be from ours.
const maxSkew = 15 * time.Minute

// signedBy says whether a request carries an account's name and a signature
// made with one of its keys (the SharedKey scheme), not long ago.
func signedBy(r *http.Request, a account, now time.Time) bool {
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	name, encoded, _ := strings.Cut(credential, ":")
	if !strings.EqualFold(scheme, "SharedKey") || name != a.Name {
		return false
	}
	date := r.Header.Get("x-ms-date")
	if date == "" {
		date = r.Header.Get("Date")
	}
	sent, err := http.ParseTime(date)
	if err != nil || now.Sub(sent).Abs() > maxSkew {
		return false
	}
	text, err := stringToSign(r, a.Name)
	if err != nil {
		return false
	}
	return signed(a, text, encoded)
}

// stringToSign returns the text that the signature of a request is over.
func stringToSign(r *http.Request, account string) (string, error) {
	resource, err := canonicalResource(r.URL, account)
	if err != nil {
		return "", err
	}
	length := "" // empty for none, by the scheme's own exception
	if r.ContentLength > 0 {
		length = strconv.FormatInt(r.ContentLength, 10)
	}
	date := r.Header.Get("Date")
	if r.Header.Get("x-ms-date") != "" {
		date = ""
	}
	h := r.Header.Get
	return strings.Join([]string{
		r.Method, h("Content-Encoding"), h("Content-Language"), length, h("Content-MD5"), h("Content-Type"), date,
		h("If-Modified-Since"), h("If-Match"), h("If-None-Match"), h("If-Unmodified-Since"), h("Range"),
		canonicalHeaders(r.Header), resource,
	}, "\n"), nil
}

// canonicalHeaders lists the x-ms- headers by name.
func canonicalHeaders(header http.Header) string {
	type line struct{ order, text string }
	var lines []line
	for name, values := range header {
		name = strings.ToLower(name)
		if !strings.HasPrefix(name, "x-ms-") {
			continue
		}
		trimmed := make([]string, len(values))
		for i, value := range values {
			trimmed[i] = strings.TrimSpace(value)
		}
		// The service orders names as words, in which a hyphen counts nothing
		// and an underscore comes before digits.
		order := strings.NewReplacer("-", "", "_", "!").Replace(name)
		lines = append(lines, line{order, name + ":" + strings.Join(trimmed, ",")})
	}
	slices.SortFunc(lines, func(a, b line) int {
		if c := strings.Compare(a.order, b.order); c != 0 {
			return c
		}
		return strings.Compare(a.text, b.text)
	})
	text := make([]string, len(lines))
	for i, l := range lines {
		text[i] = l.text
	}
	return strings.Join(text, "\n")
}

// canonicalResource is the account, the path exactly as it was sent, which
// starts with the account again unless the host's name does, and the query.
func canonicalResource(u *url.URL, account string) (string, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", err
	}
	lower := map[string][]string{}
	for name, values := range query {
		name = strings.ToLower(name)
		lower[name] = append(lower[name], values...)
	}
	lines := make([]string, 0, len(lower))
	for name, values := range lower {
		slices.Sort(values)
		lines = append(lines, "\n"+name+":"+strings.Join(values, ","))
	}
	slices.Sort(lines)
	return "/" + account + u.EscapedPath() + strings.Join(lines, ""), nil
}
