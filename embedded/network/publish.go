package network

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrPortTaken is returned by Publish when something else listens on the port.
var ErrPortTaken = errors.New("port is taken")

// dialTimeout bounds a connection to a group, which is on this host.
const dialTimeout = 5 * time.Second

// Publish binds a TCP port of a host address and passes every connection on
// to the target that is set at that moment. The proxy is in user space, so it
// needs no route_localnet and works for clients on the host itself.
func Publish(host netip.Addr, port uint16, log *slog.Logger) (*Port, error) {
	at := netip.AddrPortFrom(host, port)
	listener, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w: %w", at, ErrPortTaken, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Port{listener: listener, log: log.With("published", listener.Addr().String()), cancel: cancel}
	p.running.Add(1)
	go p.accept(ctx)
	return p, nil
}

// Port is a published port.
type Port struct {
	listener net.Listener
	log      *slog.Logger
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu     sync.Mutex
	target netip.AddrPort
}

// Number returns the port's number.
func (p *Port) Number() uint16 {
	return p.listener.Addr().(*net.TCPAddr).AddrPort().Port()
}

// SetTarget says where connections go; the zero value resets them.
func (p *Port) SetTarget(to netip.AddrPort) {
	p.mu.Lock()
	p.target = to
	p.mu.Unlock()
}

// Close unbinds the port, ends its connections and waits for that.
func (p *Port) Close() {
	p.cancel()
	p.listener.Close()
	p.running.Wait()
}

func (p *Port) accept(ctx context.Context) {
	defer p.running.Done()
	for {
		conn, err := p.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return
		}
		if err != nil {
			p.log.Warn("accept", "error", err)
			select { // out of descriptors, most likely; do not spin
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		p.running.Add(1)
		go func() {
			defer p.running.Done()
			p.serve(ctx, conn.(*net.TCPConn))
		}()
	}
}

// serve dials the target and copies both ways. A target that does not answer
// is shown to the client as what it is: a connection reset.
func (p *Port) serve(ctx context.Context, client *net.TCPConn) {
	defer client.Close()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	dialer := net.Dialer{Timeout: dialTimeout}
	var conn net.Conn
	err := errors.New("the group has no address yet")
	if target.IsValid() {
		conn, err = dialer.DialContext(ctx, "tcp", target.String())
	}
	if err != nil {
		p.log.Debug("no connection to group", "target", target, "error", err)
		_ = client.SetLinger(0)
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { client.Close(); conn.Close() })
	defer stop()
	join(client, conn.(*net.TCPConn))
}

// join copies both ways until both have ended, passing on half-closes.
func join(a, b *net.TCPConn) {
	var both sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{a, b}, {b, a}} {
		both.Go(func() {
			if _, err := io.Copy(way[0], way[1]); err != nil {
				// One side is gone: so is the connection.
				way[0].Close()
				way[1].Close()
				return
			}
			_ = way[0].CloseWrite()
		})
	}
	both.Wait()
}

// ParsePublish reads the value of the publish tag, "hostPort:groupPort".
func ParsePublish(value string) (host, group uint16, err error) {
	h, g, _ := strings.Cut(value, ":")
	hostPort, errHost := strconv.ParseUint(h, 10, 16)
	groupPort, errGroup := strconv.ParseUint(g, 10, 16)
	if errHost != nil || errGroup != nil || hostPort == 0 || groupPort == 0 {
		return 0, 0, fmt.Errorf("%q is not hostPort:groupPort", value)
	}
	return uint16(hostPort), uint16(groupPort), nil
}
