package embedded

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"frankenetes.dev/embedded/groups"
	"frankenetes.dev/pki"
)

const (
	// headerTimeout is how long a client may take to send a request's header,
	// requestTimeout the whole of it, which may be a piece of a file, and
	// idleTimeout how long it may keep a connection without one.
	headerTimeout  = 10 * time.Second
	requestTimeout = 5 * time.Minute
	idleTimeout    = 2 * time.Minute
	// closeTimeout is how long answers under way may take when the daemon stops.
	closeTimeout = 2 * time.Second
)

// servers are the HTTP servers of the daemon.
type servers struct {
	log     *slog.Logger
	tls     *tls.Config
	all     []*http.Server
	running sync.WaitGroup
}

// serve answers on a TCP address, with TLS if secure.
func (s *servers) serve(at netip.AddrPort, secure bool, handler http.Handler) error {
	listener, err := net.Listen("tcp", at.String())
	if err != nil {
		return fmt.Errorf("listen on %s: %w", at, err)
	}
	s.on(listener, secure, handler)
	return nil
}

func (s *servers) on(listener net.Listener, secure bool, handler http.Handler) {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if secure {
		server.TLSConfig = s.tls.Clone()
	}
	s.all = append(s.all, server)
	s.running.Go(func() {
		var err error
		if secure {
			err = server.ServeTLS(listener, "", "")
		} else {
			err = server.Serve(listener)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("server ended", "address", listener.Addr(), "error", err)
		}
	})
}

// close stops all servers and waits for them.
func (s *servers) close(ctx context.Context) {
	ctx, cancel := detach(ctx, closeTimeout)
	defer cancel()
	var closing sync.WaitGroup
	for _, server := range s.all {
		closing.Go(func() {
			if server.Shutdown(ctx) != nil {
				server.Close()
			}
		})
	}
	closing.Wait()
	s.running.Wait()
}

// certificate makes the daemon's own, for all the names by which it is called.
func certificate(s settings, names []string, addresses ...netip.Addr) (*tls.Config, error) {
	authority, err := pki.LoadAuthority(s.Authority)
	if err != nil {
		return nil, err
	}
	// Its own name: OpenSSL takes a certificate that has its issuer's for self-signed.
	leaf := pki.Leaf{CommonName: managementName, DNSNames: names, Server: true}
	for _, a := range addresses {
		leaf.IPs = append(leaf.IPs, a.AsSlice())
	}
	pair, err := authority.Issue(leaf)
	if err != nil {
		return nil, err
	}
	c, err := pair.TLS()
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}, nil
}

// front decides who answers on the management port: the authority, a websocket
// of exec or attach, or ARM.
func (d *daemon) front() http.Handler {
	exec, attach := d.groups.ExecHandler(), d.groups.AttachHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case d.authority.Owns(r.URL.Path):
			d.authority.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, groups.ExecPath):
			exec.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, groups.AttachPath):
			attach.ServeHTTP(w, r)
		default:
			d.arm.ServeHTTP(w, r)
		}
	})
}
