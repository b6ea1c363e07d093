package agent

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"frankenetes.dev/agent/protocol"
)

// ErrRefused is returned when the node does not accept the agent's token.
var ErrRefused = errors.New("the node refused this agent's token")

const (
	// enrolTimeout is for one attempt.
	enrolTimeout = 15 * time.Second
	// firstRetry and lastRetry are the shortest and longest pauses between
	// attempts to reach the node.
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
	// maxCertificate bounds an answer, in bytes.
	maxCertificate = 64 << 10
)

// ownCertificate is the agent's key, which never leaves this process, and its
// certificate, once it has one. It is safe for concurrent use.
type ownCertificate struct {
	key *ecdsa.PrivateKey

	mu   sync.Mutex
	cert *tls.Certificate
}

func newOwnCertificate() (*ownCertificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make own key: %w", err)
	}
	return &ownCertificate{key: key}, nil
}

// get is a tls.Config's GetClientCertificate.
func (o *ownCertificate) get(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cert == nil {
		return &tls.Certificate{}, nil // which means: none
	}
	return o.cert, nil
}

// request is a PEM certificate request. It has no name: the node knows ours.
func (o *ownCertificate) request() ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, o.key)
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// set takes a PEM certificate into use.
func (o *ownCertificate) set(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("read own certificate: no PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read own certificate: %w", err)
	}
	if public, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(&o.key.PublicKey) {
		return nil, errors.New("read own certificate: it is for another key")
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cert = &tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: o.key, Leaf: leaf}
	return leaf, nil
}

// enrol gets the first certificate, and learns from it who we are.
func (a *agent) enrol(ctx context.Context) (protocol.ID, error) {
	retry := newBackoff()
	for {
		leaf, err := a.ask(ctx, a.cfg.Token)
		if err == nil {
			group, container, ok := strings.Cut(leaf.Subject.CommonName, "/")
			if !ok || container == "" || strings.ContainsAny(container, "/\x00") || container[0] == '.' {
				return protocol.ID{}, fmt.Errorf("enrol: the node calls this agent %q", leaf.Subject.CommonName)
			}
			return protocol.ID{Group: group, Container: container}, nil
		}
		if errors.Is(err, ErrRefused) || ctx.Err() != nil {
			return protocol.ID{}, fmt.Errorf("enrol: %w", err)
		}
		a.log.Warn("enrol at the node, will try again", "node", a.cfg.Node, "error", err)
		if err := retry.wait(ctx); err != nil {
			return protocol.ID{}, fmt.Errorf("enrol: %w", err)
		}
	}
}

// ask asks the node for a certificate: with a token, or with the certificate
// that we have if token is empty.
func (a *agent) ask(ctx context.Context, token string) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, enrolTimeout)
	defer cancel()
	request, err := a.own.request()
	if err != nil {
		return nil, err
	}
	url := "https://" + a.cfg.Node + protocol.EnrolPath
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(request))
	if err != nil {
		return nil, fmt.Errorf("ask for a certificate: %w", err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	// One request, so one connection, which nobody keeps.
	transport := &http.Transport{TLSClientConfig: a.tls("http/1.1"), DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("ask for a certificate: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxCertificate))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask for a certificate: %w", err)
	case resp.StatusCode == http.StatusUnauthorized:
		return nil, ErrRefused
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("ask for a certificate: the node answered %s", resp.Status)
	}
	return a.own.set(data)
}

// keepCertificate renews the certificate when a third of its life is left.
func (a *agent) keepCertificate(ctx context.Context) {
	for {
		a.own.mu.Lock()
		left := time.Until(a.own.cert.Leaf.NotAfter)
		a.own.mu.Unlock()
		pause := left * 2 / 3
		for {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return
			}
			_, err := a.ask(ctx, "")
			if err == nil {
				a.log.Info("renewed the agent's certificate")
				break
			}
			a.log.Warn("renew the agent's certificate, will try again", "error", err)
			pause = max(left/100, lastRetry)
		}
	}
}
