package cloudtest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"frankenetes.dev/cloud"
	"frankenetes.dev/pki"
	"frankenetes.dev/test/openapi"
)

// front stands before a cloud and compares every answer of it with the OpenAPI
// documents. The cloud makes the URLs that it hands out from the host that it
// was asked by, so that a client that has come by the front stays there.
type front struct {
	documents *openapi.Documents
	config    cloud.Config

	mu      sync.Mutex
	checked int
	faults  map[string]int
}

// newFront stands before the cloud of a configuration. Where the documents are
// absent, there is no front: the test says so, and goes on.
func newFront(t *testing.T, to cloud.Config) *front {
	t.Helper()
	f := &front{config: to, faults: map[string]int{}}
	var err error
	f.documents, err = openapi.Find()
	if errors.Is(err, openapi.ErrAbsent) {
		t.Logf("NOT CHECKED against the OpenAPI documents: %v", err)
		return f
	}
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(f.proxy(t, to))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = f.certificate(t)
	server.StartTLS()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	f.config.ResourceManager, f.config.Authority = server.URL, server.URL
	return f
}

// certificate makes one for loopback, by an authority that the front's own
// configuration trusts as well as the cloud's.
func (f *front) certificate(t *testing.T) *tls.Config {
	t.Helper()
	authority, err := pki.NewAuthority("front of a test")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := authority.Issue(pki.Leaf{CommonName: "front", IPs: []net.IP{net.IPv4(127, 0, 0, 1)}, Server: true})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := pair.TLS()
	if err != nil {
		t.Fatal(err)
	}
	f.config.CA += string(authority.CertPEM())
	return &tls.Config{Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12}
}

// proxy passes requests on as they are. When the cloud does not answer, neither
// does it: the client sees a connection that breaks, as without it.
func (f *front) proxy(t *testing.T, to cloud.Config) http.Handler {
	t.Helper()
	target, err := url.Parse(to.ResourceManager)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(to.CA))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 32, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			// SetURL would join the paths, and so clean the one that was asked.
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(answer *http.Response) error {
			f.mu.Lock()
			f.checked++
			f.mu.Unlock()
			return f.documents.Look(answer.Request, answer, f.report)
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}

func (f *front) report(fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults[fault]++
}

// judge fails the test for every answer that did not fit.
func (f *front) judge(t *testing.T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for fault, times := range f.faults {
		t.Errorf("not as the documents say (%d times): %s", times, fault)
	}
	clear(f.faults)
}
