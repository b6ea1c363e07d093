package agents

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"frankenetes.dev/agent"
	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/pki"
)

func TestTokenWorksOnce(t *testing.T) {
	n := newNode(t)
	token := n.issue(t, web)
	runAgent(t, n, token)
	n.await(t, web)
	if code, _ := enrol(t, n, nil, "Bearer "+token); code != http.StatusUnauthorized {
		t.Errorf("used again: %d", code)
	}
}

func TestAgentGivesUpWhenItsTokenIsRefused(t *testing.T) {
	n := newNode(t)
	err := agent.Run(bounded(t), agent.Config{
		Node: n.addr, Token: "not a token", Authority: n.authority.CertPEM(), Root: t.TempDir(), Reaper: children,
	})
	if !errors.Is(err, agent.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

func TestTokensThatAreNotValid(t *testing.T) {
	n := newNode(t)
	old := n.issue(t, web)
	good := n.issue(t, web)
	other := n.issue(t, protocol.ID{Group: "gone", Container: "web"})
	n.Forget("gone")
	for name, header := range map[string]string{
		"none":                         "",
		"empty":                        "Bearer ",
		"unknown":                      "Bearer " + strings.Repeat("A", 43),
		"another scheme":               "Basic " + good,
		"replaced":                     "Bearer " + old,
		"of a group that is forgotten": "Bearer " + other,
		"part of one":                  "Bearer " + good[:42],
		"more than one":                "Bearer " + good + "A",
	} {
		if code, _ := enrol(t, n, nil, header); code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, code)
		}
	}
	if code, cert := enrol(t, n, nil, "Bearer "+good); code != http.StatusOK {
		t.Errorf("the good one: %d", code)
	} else if name := cert.Leaf.Subject.CommonName; name != "shop-1234/web" {
		t.Errorf("its certificate is for %s", name)
	} else if usage := cert.Leaf.ExtKeyUsage; len(usage) != 1 || usage[0] != x509.ExtKeyUsageClientAuth {
		t.Errorf("its certificate is for the uses %v", usage)
	}
	for _, id := range []protocol.ID{{}, {Group: "a"}, {Group: "a", Container: "b/c"}, {Group: "a/b", Container: "c"}} {
		if _, err := n.Issue(id); err == nil {
			t.Errorf("a token for %v was issued", id)
		}
	}
}

func TestAGroupThatWasNeverMadeIsNotRemembered(t *testing.T) {
	n := newNode(t)
	never, once := n.issue(t, protocol.ID{Group: "never", Container: "web"}), n.issue(t, web)
	n.issue(t, protocol.ID{Group: web.Group, Container: "other"})
	if code, _ := enrol(t, n, nil, "Bearer "+once); code != http.StatusOK {
		t.Fatalf("enrolment: %d", code)
	}
	for _, group := range []string{"never", web.Group, "of an earlier life"} {
		n.Forget(group)
	}
	if code, _ := enrol(t, n, nil, "Bearer "+never); code != http.StatusUnauthorized {
		t.Errorf("a token of a group that is forgotten: %d", code)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, ok := n.forgotten["never"]; ok || len(n.forgotten) != 2 || len(n.tokens) != 0 || len(n.enrolled) != 0 {
		t.Errorf("remembered are %v, %d tokens, %v", n.forgotten, len(n.tokens), n.enrolled)
	}
}

// enrol asks for a certificate as an agent does.
func enrol(t *testing.T, n *testNode, own *tls.Certificate, authorization string) (int, *tls.Certificate) {
	t.Helper()
	return enrolAs(t, n, own, authorization, x509.CertificateRequest{})
}

// enrolAs asks for a certificate that says what the request does.
func enrolAs(t *testing.T, n *testNode, own *tls.Certificate, authorization string, request x509.CertificateRequest) (int, *tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &request, key)
	if err != nil {
		t.Fatal(err)
	}
	body := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	code, answer := post(t, n, own, authorization, body)
	if code != http.StatusOK {
		return code, nil
	}
	block, _ := pem.Decode(answer)
	if block == nil {
		t.Fatalf("got %q", answer)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return code, &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key, Leaf: leaf}
}

func post(t *testing.T, n *testNode, own *tls.Certificate, authorization string, body []byte) (int, []byte) {
	t.Helper()
	cfg := &tls.Config{RootCAs: n.authority.Pool()}
	if own != nil {
		cfg.Certificates = []tls.Certificate{*own}
	}
	transport := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	req, err := http.NewRequestWithContext(bounded(t), "POST", "https://"+n.addr+protocol.EnrolPath, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

func TestBadCertificateRequests(t *testing.T) {
	n := newNode(t)
	for name, body := range map[string]string{
		"nothing": "", "no PEM": "hello", "another PEM": string(n.authority.CertPEM()),
		"too long": strings.Repeat("x", maxRequest+1),
	} {
		if code, _ := post(t, n, nil, "Bearer "+n.issue(t, web), []byte(body)); code != http.StatusBadRequest {
			t.Errorf("%s: %d", name, code)
		}
	}
}

func TestNobodyGetsACertificateForAnother(t *testing.T) {
	n := newNode(t)
	another := x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "shop-5678/web", Organization: []string{"system:masters"}}, DNSNames: []string{"node"}}
	code, first := enrolAs(t, n, nil, "Bearer "+n.issue(t, web), another)
	if code != http.StatusOK {
		t.Fatalf("enrolment: %d", code)
	}
	_, renewed := enrolAs(t, n, first, "", another)
	for what, cert := range map[string]*tls.Certificate{"by its token": first, "by its certificate": renewed} {
		if name := cert.Leaf.Subject.String(); name != "CN=shop-1234/web" || len(cert.Leaf.DNSNames) > 0 || cert.Leaf.IsCA {
			t.Errorf("%s it got one for %s, %v", what, name, cert.Leaf.DNSNames)
		}
	}
}

func TestRenewal(t *testing.T) {
	n := newNode(t)
	_, first := enrol(t, n, nil, "Bearer "+n.issue(t, web))
	code, second := enrol(t, n, first, "")
	if code != http.StatusOK || second.Leaf.Subject.CommonName != "shop-1234/web" {
		t.Errorf("got %d, %v", code, second)
	}
	n.Forget(web.Group)
	if code, _ := enrol(t, n, second, ""); code != http.StatusUnauthorized {
		t.Errorf("after the group was forgotten: %d", code)
	}
	foreign, err := n.authority.Issue(pki.Leaf{CommonName: "no agent's name", Client: true})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := foreign.TLS()
	if err != nil {
		t.Fatal(err)
	}
	if code, _ := enrol(t, n, &cert, ""); code != http.StatusUnauthorized {
		t.Errorf("a certificate for something else: %d", code)
	}
}
