package openapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// Transport checks every answer that goes through it.
type Transport struct {
	Documents *Documents
	// Base does the requests.
	Base http.RoundTripper
	// Report is called, in any goroutine, with what is wrong with an answer.
	Report func(string)
}

// RoundTrip does a request and reports what is wrong with the answer.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.Base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return answer, t.Documents.Look(r, answer, t.Report)
}

// Look checks an answer, whose body can be read as before, and reports what is
// wrong with it.
func (d *Documents) Look(r *http.Request, answer *http.Response, report func(string)) error {
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	asked := *r.URL
	if r.Host != "" {
		asked.Host = r.Host // where the client thinks that the server is
	}
	for _, fault := range d.Check(Exchange{r.Method, &asked, answer.StatusCode, answer.Header, body}) {
		report(fmt.Sprintf("%s %s answered %d: %s", r.Method, r.URL.RequestURI(), answer.StatusCode, fault))
	}
	return nil
}
