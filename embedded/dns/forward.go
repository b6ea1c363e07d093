package dns

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// forwardTimeout bounds a question to one of the host's resolvers.
const forwardTimeout = 2 * time.Second

// forward asks the host's resolvers, one after another, and answers SERVFAIL
// when none does. Their list is read each time, since it changes with networks.
func (s *Server) forward(query *dns.Msg) *dns.Msg {
	failed := new(dns.Msg).SetRcode(query, dns.RcodeServerFailure)
	config, err := dns.ClientConfigFromFile(s.options.ResolvConf)
	if err != nil {
		s.options.Log.Debug("no resolvers", "error", err)
		return failed
	}
	for _, resolver := range config.Servers {
		addr, err := netip.ParseAddr(resolver)
		if err != nil || addr == s.address.Addr() {
			continue // asking ourselves would never end
		}
		reply, err := s.ask(query, net.JoinHostPort(resolver, config.Port))
		if err == nil {
			return reply
		}
		s.options.Log.Debug("resolver does not answer", "resolver", resolver, "error", err)
	}
	return failed
}

// ask puts the question over UDP, and over TCP when the answer does not fit.
func (s *Server) ask(query *dns.Msg, resolver string) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(s.ctx, forwardTimeout)
	defer cancel()
	reply, err := exchange(ctx, "udp", query, resolver)
	if err == nil && reply.Truncated {
		reply, err = exchange(ctx, "tcp", query, resolver)
	}
	return reply, err
}

func exchange(ctx context.Context, network string, query *dns.Msg, resolver string) (*dns.Msg, error) {
	client := &dns.Client{Net: network, Timeout: forwardTimeout}
	reply, _, err := client.ExchangeContext(ctx, query, resolver)
	return reply, err
}
