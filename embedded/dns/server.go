package dns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
)

const (
	// patience is how long a lookup waits for a group that is being created,
	// less than the five seconds after which resolvers ask again.
	patience = 4500 * time.Millisecond
	// ttl is the life of an answer, in seconds: addresses change with groups.
	ttl = 1
)

// Options are what a Server needs.
type Options struct {
	// Address is where it listens, UDP and TCP.
	Address netip.AddrPort
	// Zone holds the names that it knows.
	Zone *Zone
	// Private, unless nil, is asked first: what the virtual network that a
	// client is in has for a name, and whether nobody else may be asked.
	Private func(client netip.Addr, name string) (addresses []netip.Addr, ttl uint32, alone bool)
	// Suffixes are the domains for which Zone is the whole truth. Names
	// elsewhere are asked of the host's resolvers.
	Suffixes []string
	// ResolvConf names the host's resolvers; empty means /etc/resolv.conf.
	ResolvConf string
	Log        *slog.Logger
}

// Server answers DNS queries.
type Server struct {
	options Options
	ctx     context.Context
	cancel  context.CancelFunc
	servers []*dns.Server
	address netip.AddrPort
	running sync.WaitGroup
	crowd   crowd
}

// Listen starts a server. Port 0 means any port, the same for UDP and TCP.
func Listen(o Options) (*Server, error) {
	if o.ResolvConf == "" {
		o.ResolvConf = "/etc/resolv.conf"
	}
	tcp, err := net.Listen("tcp", o.Address.String())
	if err != nil {
		return nil, fmt.Errorf("listen for DNS on %s: %w", o.Address, err)
	}
	address := tcp.Addr().(*net.TCPAddr).AddrPort()
	udp, err := net.ListenPacket("udp", address.String())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for DNS on %s: %w", address, err), tcp.Close())
	}
	s := &Server{options: o, address: address}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	handler := dns.HandlerFunc(s.answer)
	s.servers = []*dns.Server{{Listener: tcp, Handler: handler}, {PacketConn: udp, Handler: handler}}
	for i, server := range s.servers {
		if err := s.start(server); err != nil {
			s.servers = s.servers[:i] // only a started server can be shut down
			return nil, errors.Join(err, tcp.Close(), udp.Close(), s.Close())
		}
	}
	return s, nil
}

// start returns once a server answers, or has failed to.
func (s *Server) start(server *dns.Server) error {
	started, ended := make(chan struct{}), make(chan error, 1)
	server.NotifyStartedFunc = func() { close(started) }
	s.running.Go(func() {
		err := server.ActivateAndServe()
		ended <- err
		if err != nil && s.ctx.Err() == nil {
			s.options.Log.Error("DNS server ended", "address", s.address, "error", err)
		}
	})
	select {
	case <-started:
		return nil
	case err := <-ended:
		return fmt.Errorf("serve DNS on %s: %w", s.address, err)
	}
}

// Address returns where the server listens.
func (s *Server) Address() netip.AddrPort { return s.address }

// Close stops answering and waits for the answers under way.
func (s *Server) Close() error {
	s.cancel()
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Shutdown())
	}
	s.running.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop DNS server: %w", err)
	}
	return nil
}

func (s *Server) answer(w dns.ResponseWriter, query *dns.Msg) {
	reply := s.admit(addressOf(w.RemoteAddr()), query)
	if w.LocalAddr().Network() == "udp" {
		size := dns.MinMsgSize
		if edns := query.IsEdns0(); edns != nil {
			size = int(edns.UDPSize())
		}
		reply.Truncate(size)
	}
	if err := w.WriteMsg(reply); err != nil {
		s.options.Log.Debug("DNS answer not sent", "to", w.RemoteAddr(), "error", err)
	}
}
