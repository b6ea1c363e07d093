package dns

import (
	"context"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// admit answers a client, unless it asks too much at once.
func (s *Server) admit(client netip.Addr, query *dns.Msg) *dns.Msg {
	leave, ok := s.crowd.enter(client)
	if !ok {
		return new(dns.Msg).SetRcode(query, dns.RcodeServerFailure)
	}
	defer leave()
	return s.reply(client, query)
}

func (s *Server) reply(client netip.Addr, query *dns.Msg) *dns.Msg {
	if query.Opcode != dns.OpcodeQuery || len(query.Question) != 1 {
		return new(dns.Msg).SetRcode(query, dns.RcodeNotImplemented)
	}
	if reply := s.fromNetwork(client, query); reply != nil {
		return reply
	}
	if s.owns(query.Question[0].Name) {
		return s.fromZone(query)
	}
	return s.forward(query)
}

// fromNetwork answers with what the client's virtual network has; nil when
// that says nothing.
func (s *Server) fromNetwork(client netip.Addr, query *dns.Msg) *dns.Msg {
	if s.options.Private == nil || !client.IsValid() {
		return nil
	}
	question := query.Question[0]
	addresses, ttl, alone := s.options.Private(client, canonical(question.Name))
	if !alone {
		return nil
	}
	reply := new(dns.Msg).SetReply(query)
	reply.Authoritative, reply.RecursionAvailable = true, true
	if len(addresses) == 0 {
		return reply.SetRcode(query, dns.RcodeNameError)
	}
	if asksForAddress(question) {
		for _, a := range addresses {
			reply.Answer = append(reply.Answer, answer(question, a, ttl))
		}
	}
	return reply
}

func asksForAddress(q dns.Question) bool {
	return (q.Qtype == dns.TypeA || q.Qtype == dns.TypeANY) && q.Qclass == dns.ClassINET
}

func answer(q dns.Question, a netip.Addr, ttl uint32) dns.RR {
	return &dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: ttl}, A: a.AsSlice()}
}

// owns reports whether the zone alone decides about a name.
func (s *Server) owns(name string) bool {
	name = canonical(name)
	for _, suffix := range s.options.Suffixes {
		if name == suffix || strings.HasSuffix(name, "."+suffix) {
			return true
		}
	}
	return s.options.Zone.Has(name)
}

// fromZone answers from the zone. A name that exists has an A record and no
// other: every other question about it has an empty answer, at once.
func (s *Server) fromZone(query *dns.Msg) *dns.Msg {
	reply := new(dns.Msg).SetReply(query)
	reply.Authoritative, reply.RecursionAvailable = true, true
	question := query.Question[0]
	if !s.options.Zone.Has(question.Name) {
		return reply.SetRcode(query, dns.RcodeNameError)
	}
	if !asksForAddress(question) {
		return reply
	}
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	addr := s.options.Zone.Lookup(ctx, question.Name)
	if !addr.IsValid() {
		return reply.SetRcode(query, dns.RcodeServerFailure)
	}
	reply.Answer = []dns.RR{answer(question, addr, ttl)}
	return reply
}
