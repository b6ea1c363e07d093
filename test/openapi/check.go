package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Exchange is a request and what was answered to it.
type Exchange struct {
	Method string
	URL    *url.URL
	Status int
	Header http.Header
	Body   []byte
}

// Check returns what is wrong with an answer of Resource Manager, nothing if it
// is as documented. What is not Resource Manager's is not looked at.
func (d *Documents) Check(e Exchange) []string {
	path := segments(e.URL.Path)
	if len(path) == 0 || !slices.Contains([]string{"subscriptions", "providers", "tenants"}, strings.ToLower(path[0])) {
		return nil
	}
	faults := headers(e)
	if e.Status == http.StatusUnauthorized {
		return faults // given before anyone looks at what is asked
	}
	return append(faults, d.body(e, path)...)
}

// headers checks what every answer and every asynchronous one has.
func headers(e Exchange) []string {
	var faults []string
	if e.Header.Get("x-ms-request-id") == "" {
		faults = append(faults, "there is no x-ms-request-id")
	}
	async := false
	for _, name := range []string{"Azure-AsyncOperation", "Location"} {
		value := e.Header.Get(name)
		if value == "" {
			continue
		}
		async = true
		if u, err := url.Parse(value); err != nil || u.Scheme != "https" || u.Host != e.URL.Host {
			faults = append(faults, fmt.Sprintf("%s is no absolute URL of this cloud: %q", name, value))
		}
	}
	if _, err := strconv.Atoi(e.Header.Get("Retry-After")); async && err != nil {
		faults = append(faults, fmt.Sprintf("there is something to poll, but Retry-After is %q", e.Header.Get("Retry-After")))
	}
	if e.Status == http.StatusAccepted && !async {
		faults = append(faults, "202 without anything to poll")
	}
	return faults
}

func (d *Documents) body(e Exchange, path []string) []string {
	if doc, s := d.polled(path); s != nil && e.Status == http.StatusOK {
		return d.compare(doc, s, e)
	}
	if len(path) == 4 && strings.EqualFold(path[2], "operationresults") {
		return nil // a Location has no model
	}
	op, known := d.find(e.Method, path, version(e.URL))
	if op == nil {
		if e.Status < 300 && (known || d.covered[namespace(path)]) {
			return []string{"no document has this operation"}
		}
		return d.refusal(e)
	}
	response, declared := op.Responses[strconv.Itoa(e.Status)]
	switch {
	case !declared && e.Status < 300:
		return []string{fmt.Sprintf("%d is no status of this operation", e.Status)}
	case !declared:
		return d.refusal(e)
	case response.Schema == nil:
		if len(bytes.TrimSpace(e.Body)) > 0 {
			return []string{fmt.Sprintf("%d has no body: %s", e.Status, e.Body)}
		}
		return nil
	}
	return d.compare(op.doc, response.Schema, e)
}

// polled returns the model of the answer to a poll of an asynchronous operation.
func (d *Documents) polled(path []string) (*document, *schema) {
	if len(path) != 8 || !strings.EqualFold(path[4], "locations") || !strings.EqualFold(path[6], "operations") {
		return nil, nil
	}
	return d.common("OperationStatusResult")
}

// common returns a definition that all of Resource Manager shares.
func (d *Documents) common(name string) (*document, *schema) {
	for path, doc := range d.byPath {
		if strings.HasSuffix(path, "/common-types/resource-management/v5/types.json") && doc.Definitions[name] != nil {
			return doc, doc.Definitions[name]
		}
	}
	return nil, nil
}

// refusal checks the body of an error, which is the same everywhere.
func (d *Documents) refusal(e Exchange) []string {
	if e.Status < 400 || e.Method == http.MethodHead {
		return nil
	}
	doc, s := d.common("ErrorResponse")
	if s == nil {
		return []string{"no document has the model of errors"}
	}
	faults := d.compare(doc, s, e)
	var body struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal(e.Body, &body) == nil && (body.Error.Code == "" || body.Error.Message == "") {
		faults = append(faults, "the error has no code or no message")
	}
	return faults
}

// compare checks a body against its model.
func (d *Documents) compare(doc *document, s *schema, e Exchange) []string {
	decoder := json.NewDecoder(bytes.NewReader(e.Body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return []string{fmt.Sprintf("the body is no JSON (%v): %q", err, e.Body)}
	}
	if got := e.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/json") {
		return []string{fmt.Sprintf("Content-Type is %q", got)}
	}
	c := checker{Documents: d, secrets: e.Method == http.MethodPost}
	c.check("", doc, s, value)
	return c.faults
}

// version returns the api-version, whose name matches in any case.
func version(u *url.URL) string {
	for name, values := range u.Query() {
		if strings.EqualFold(name, "api-version") && len(values) > 0 {
			return values[0]
		}
	}
	return ""
}
