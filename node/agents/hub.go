// Package agents is the node's end of its agents' connections. It exists
// because container groups have no inbound port: every agent dials the node,
// and the rest of the node only wants to know "is this container's agent here,
// and how do I talk to it".
//
// One TLS port serves two things, told apart by ALPN: enrolment, where an
// agent buys a certificate with its one-time token, and the agents'
// connections, on which the node is then the HTTP/2 client.
package agents

//lint:file-ignore SA1019 net/http serves listeners and dials addresses; here it is the dialler that serves, on the one connection.

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/pki"
	"golang.org/x/net/http2"
)

const (
	// CertificateLifetime is how long an agent's certificate is valid; agents
	// renew theirs at two thirds of it.
	CertificateLifetime = 30 * 24 * time.Hour
	// readIdle and pingTimeout bound how long a dead agent seems connected.
	readIdle    = 15 * time.Second
	pingTimeout = 5 * time.Second
	// handshakeTimeout is for whoever connects and then says nothing.
	handshakeTimeout = 10 * time.Second
)

// Options are what a Hub needs.
type Options struct {
	// Authority signs the agents' certificates, and only those are accepted.
	Authority *pki.Authority
	// Server is the certificate by which agents know this node.
	Server tls.Certificate
	Log    *slog.Logger
	// OnConnect is called when an agent has connected, and must return when
	// the client's connection has ended; OnDisconnect after both. For one ID
	// these calls follow each other, those of different IDs run side by side.
	// Serve waits for them. Either may be nil.
	OnConnect    func(id protocol.ID, c *protocol.Client)
	OnDisconnect func(id protocol.ID)
}

// Hub knows which agents are connected. It is safe for concurrent use.
type Hub struct {
	opts      Options
	log       *slog.Logger
	transport *http2.Transport

	mu     sync.Mutex
	tokens map[[32]byte]protocol.ID
	// enrolled are the groups of which an agent has used its token.
	enrolled map[string]bool
	// forgotten are the groups refused from now on, and since when.
	forgotten map[string]time.Time
	links     map[protocol.ID]*link
	// arrived is closed, and replaced, when an agent connects.
	arrived chan struct{}
	closing bool
	// attended are the links whose callbacks have not all returned.
	attended sync.WaitGroup
}

// New returns a hub with no agents.
func New(opts Options) *Hub {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Hub{
		opts:      opts,
		log:       log,
		transport: &http2.Transport{ReadIdleTimeout: readIdle, PingTimeout: pingTimeout},
		tokens:    map[[32]byte]protocol.ID{},
		enrolled:  map[string]bool{},
		forgotten: map[string]time.Time{},
		links:     map[protocol.ID]*link{},
		arrived:   make(chan struct{}),
	}
}

// Serve answers on l until the context is done, then ends every connection and
// returns when all that it started is gone. A hub serves once.
func (h *Hub) Serve(ctx context.Context, l net.Listener) error {
	server, err := h.server()
	if err != nil {
		_ = l.Close()
		return err
	}
	gate := newGate(l)
	failed := make(chan error, 1)
	go func() { failed <- server.ServeTLS(gate, "", "") }()
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
		err = fmt.Errorf("serve agents: %w", err)
		failed <- http.ErrServerClosed
	}
	h.close()
	_ = server.Close()
	<-failed
	gate.close()
	h.attended.Wait()
	return err
}

// server tells enrolment from agents by ALPN; net/http does the handshake and
// turns away plain HTTP.
func (h *Hub) server() (*http.Server, error) {
	server := &http.Server{
		Handler:           h.enrolment(),
		ReadHeaderTimeout: handshakeTimeout,
		ReadTimeout:       handshakeTimeout,
		IdleTimeout:       handshakeTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{
			MinVersion:   tls.VersionTLS13,
			Certificates: []tls.Certificate{h.opts.Server},
			ClientAuth:   tls.VerifyClientCertIfGiven,
			ClientCAs:    h.opts.Authority.Pool(),
			NextProtos:   []string{protocol.ALPN},
		},
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){
			protocol.ALPN: func(_ *http.Server, c *tls.Conn, _ http.Handler) { h.accept(c) },
		},
	}
	if err := http2.ConfigureServer(server, &http2.Server{IdleTimeout: handshakeTimeout}); err != nil {
		return nil, fmt.Errorf("serve agents: %w", err)
	}
	return server, nil
}

// Connected returns the client of an agent, if that is connected.
func (h *Hub) Connected(id protocol.ID) (*protocol.Client, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.links[id]; l != nil {
		return l.client, true
	}
	return nil, false
}

// Await returns the client of an agent as soon as that is connected.
func (h *Hub) Await(ctx context.Context, id protocol.ID) (*protocol.Client, error) {
	for {
		h.mu.Lock()
		l, arrived, closing := h.links[id], h.arrived, h.closing
		h.mu.Unlock()
		if l != nil {
			return l.client, nil
		}
		if closing {
			return nil, fmt.Errorf("await agent %s/%s: %w", id.Group, id.Container, ErrClosed)
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil, fmt.Errorf("await agent %s/%s: %w", id.Group, id.Container, context.Cause(ctx))
		}
	}
}

// ErrClosed is returned by Await when the hub serves no more.
var ErrClosed = errors.New("the agents' endpoint is closed")

// Forget ends the connections of a group, drops its tokens, and refuses it from
// now on, unless Issue is called for it again. What is forgotten is remembered
// only by this hub: after a restart of the node a group that it never heard of
// may come back with its certificate, since that is how groups are adopted.
func (h *Hub) Forget(group string) {
	h.mu.Lock()
	now := time.Now()
	for name, at := range h.forgotten {
		if now.Sub(at) > CertificateLifetime { // nothing of it is valid any more
			delete(h.forgotten, name)
		}
	}
	unused := false
	for hash, id := range h.tokens {
		if id.Group == group {
			delete(h.tokens, hash)
			unused = true
		}
	}
	// Who had nothing but tokens cannot come back: a place that refuses groups for
	// days must not fill our memory with their names.
	if h.enrolled[group] || !unused {
		h.forgotten[group] = now
	}
	delete(h.enrolled, group)
	var links []*link
	for id, l := range h.links {
		if id.Group == group {
			links = append(links, l)
		}
	}
	h.mu.Unlock()
	for _, l := range links { // unlocked, since close removes them
		l.close()
	}
}
