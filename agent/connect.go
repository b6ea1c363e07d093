package agent

//lint:file-ignore SA1019 net/http serves listeners and dials addresses; here it is the dialler that serves, on the one connection.

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"frankenetes.dev/agent/protocol"
	"golang.org/x/net/http2"
)

const (
	// dialTimeout is for one attempt to connect, handshake included.
	dialTimeout = 10 * time.Second
	// readIdle and pingTimeout bound how long a dead node seems alive.
	readIdle    = 10 * time.Second
	pingTimeout = 5 * time.Second
	// steady is how long a connection must have lasted for its end to be
	// taken as an accident, and not as one more failed attempt.
	steady = 10 * time.Second
	// streamWindow and connWindow are how much, in bytes, the node may send
	// on a stream and in total before somebody reads it. A stream that nobody
	// reads must not stop the others.
	streamWindow = 256 << 10
	connWindow   = 16 << 20
	maxStreams   = 1000
)

// serve keeps a connection to the node until the context is done.
func (a *agent) serve(ctx context.Context) {
	retry := newBackoff()
	for {
		began := time.Now()
		err := a.connect(ctx)
		select {
		case <-ctx.Done():
			return
		case <-a.leaving:
			return
		default:
		}
		if time.Since(began) > steady {
			retry = newBackoff()
		}
		a.log.Warn("connection to the node ended, will dial again", "node", a.cfg.Node, "error", err)
		if retry.wait(ctx) != nil {
			return
		}
	}
}

// connect dials the node and serves it until the connection ends.
func (a *agent) connect(ctx context.Context) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The node may keep a stream open for as long as it likes.
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	a.log.Info("connected to the node", "node", a.cfg.Node)
	a.http2.ServeConn(conn, &http2.ServeConnOpts{Context: ctx, Handler: a.handler(), BaseConfig: a.http})
	return nil
}

// newServers are the servers of every connection: net/http's has no listener,
// but is what HTTP/2's is configured by.
func newServers(log *slog.Logger) (*http.Server, *http2.Server) {
	return &http.Server{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}, &http2.Server{
		MaxConcurrentStreams:         maxStreams,
		MaxUploadBufferPerStream:     streamWindow,
		MaxUploadBufferPerConnection: connWindow,
		ReadIdleTimeout:              readIdle,
		PingTimeout:                  pingTimeout,
		WriteByteTimeout:             readIdle + pingTimeout,
	}
}

func (a *agent) dial(ctx context.Context) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := &tls.Dialer{
		NetDialer: &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
			Enable: true, Idle: readIdle, Interval: pingTimeout, Count: 3,
		}},
		Config: a.tls(protocol.ALPN),
	}
	conn, err := dialer.DialContext(ctx, "tcp", a.cfg.Node)
	if err != nil {
		return nil, fmt.Errorf("dial node: %w", err)
	}
	tlsConn, ok := conn.(*tls.Conn)
	if !ok || tlsConn.ConnectionState().NegotiatedProtocol != protocol.ALPN {
		_ = conn.Close()
		return nil, fmt.Errorf("dial node: it does not speak %s", protocol.ALPN)
	}
	return tlsConn, nil
}

// backoff is the pause between attempts: doubled each time, and a little
// random, so that the agents of a node that returns do not come all at once.
type backoff struct{ pause time.Duration }

func newBackoff() *backoff { return &backoff{pause: firstRetry} }

// wait waits, or returns why the context is done.
func (b *backoff) wait(ctx context.Context) error {
	pause := b.pause/2 + rand.N(b.pause/2)
	b.pause = min(2*b.pause, lastRetry)
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
