package network

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The sets of the host's table.
const (
	// sourcesSet holds the interface and the address of every group: what
	// comes from elsewhere, or as someone else, is dropped.
	sourcesSet = "sources"
	// outboundSet holds the addresses of groups that reach the world.
	outboundSet = "outbound"
	// openSet holds address, protocol and port of what groups have opened.
	openSet = "open"
)

// tableName is the name of the cloud's own nftables table.
func tableName(id string) string { return "frankenetes_" + id }

// firewallUp writes the cloud's table:
//
//   - a packet must come from the interface and the address of one group;
//   - what a group sends to a service arrives at the port where that listens;
//   - what it sends to the world, if it may, leaves with the host's address;
//   - of the host itself it reaches the cloud's own services and nothing else;
//   - other groups, and the host, reach the ports that a group has opened;
//   - the host reaches virtual networks, where their routers decide;
//   - nobody else reaches a group or the gateway.
func firewallUp(o Options) (*table, error) {
	t := &table{name: tableName(o.ID)}
	sources := &nftables.Set{Name: sourcesSet, Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIPAddr)}
	open := &nftables.Set{Name: openSet, Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService)}
	outbound := &nftables.Set{Name: outboundSet, KeyType: nftables.TypeIPAddr}
	err := t.write([]*nftables.Set{sources, open, outbound}, func(c *nftables.Conn, nt *nftables.Table) {
		r := &rules{c: c, table: nt, options: o, ours: []byte(prefix(o.ID)), open: open, outbound: outbound}
		r.network, r.mask = o.Pool.Masked().Addr().AsSlice(), binaryutil.BigEndian.PutUint32(^uint32(0)<<(32-o.Pool.Bits()))
		r.checkSource(sources)
		r.redirect()
		r.masquerade()
		r.guardHost()
		r.guardGroups()
		r.guardFromHost()
	})
	return t, err
}

// rules writes the chains of the host's table.
type rules struct {
	c              *nftables.Conn
	table          *nftables.Table
	options        Options
	ours           []byte // how the names of the cloud's interfaces start
	network, mask  []byte // of the pool
	open, outbound *nftables.Set
}

func (r *rules) chain(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
	return r.c.AddChain(&nftables.Chain{Name: name, Table: r.table, Type: kind, Hooknum: hook, Priority: priority})
}

// checkSource comes before everything else, connection tracking included.
func (r *rules) checkSource(sources *nftables.Set) {
	chain := r.chain("sources", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	rule(r.c, chain, in(r.ours), notIPv4(), drop())
	rule(r.c, chain, in(r.ours), fromSource(sources), accept())
	rule(r.c, chain, in(r.ours), drop())
}

// redirect sends what is meant for a service to where it listens.
func (r *rules) redirect() {
	chain := r.chain("services", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	for _, s := range r.options.Services {
		rule(r.c, chain, in(r.ours), ipv4(), destination(s.Address.AsSlice()), protocol(s.protocol()), port(s.Port),
			toPort(Gateway(r.options.Pool), s.Listens))
	}
}

// toPort changes where a connection goes.
func toPort(to netip.Addr, port uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: register4, Data: to.AsSlice()},
		&expr.Immediate{Register: register4 + 1, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: register4, RegProtoMin: register4 + 1},
	}
}

func (s Service) protocol() byte {
	if s.UDP {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

func (r *rules) masquerade() {
	chain := r.chain("world", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	rule(r.c, chain, ipv4(), sourceIn(r.network, r.mask), elseOut(r.ours), []expr.Any{&expr.Masq{}})
}

func (r *rules) guardHost() {
	chain := r.chain("host", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
	gateway := destination(Gateway(r.options.Pool).AsSlice())
	// Linux takes packets for an address of its own on any interface.
	rule(r.c, chain, elseIn(padded("lo")), elseIn(r.ours), ipv4(), gateway, drop())
	rule(r.c, chain, in(r.ours), established(), accept())
	for _, s := range r.options.Services {
		rule(r.c, chain, in(r.ours), ipv4(), sourceIn(r.network, r.mask), gateway, protocol(s.protocol()), port(s.Listens), accept())
	}
	rule(r.c, chain, in(r.ours), drop())
}

// guardGroups decides about what the host passes on.
func (r *rules) guardGroups() {
	chain := r.chain("groups", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
	rule(r.c, chain, in(r.ours), established(), accept())
	rule(r.c, chain, out(r.ours), established(), accept())
	rule(r.c, chain, in(r.ours), ipv4(), sourceBeyond(r.network, r.mask), drop())
	rule(r.c, chain, in(r.ours), out(r.ours), ipv4(), toOpen(r.open), accept())
	rule(r.c, chain, out(r.ours), drop())
	for _, number := range blockedPorts() {
		rule(r.c, chain, in(r.ours), protocol(unix.IPPROTO_TCP), port(number), drop())
	}
	rule(r.c, chain, in(r.ours), ipv4(), sourceOf(r.outbound), accept())
	rule(r.c, chain, in(r.ours), drop())
}

// blockedPorts are those of the world that no group reaches, as on Azure: of
// mail servers and of the platform itself.
func blockedPorts() []uint16 { return []uint16{25, 19390} }

// guardFromHost decides about what the host itself sends.
func (r *rules) guardFromHost() {
	chain := r.chain("operator", nftables.ChainTypeFilter, nftables.ChainHookOutput, nftables.ChainPriorityFilter)
	rule(r.c, chain, out(r.ours), established(), accept())
	rule(r.c, chain, out([]byte(uplinkPrefix(r.options.ID))), ipv4(), accept())
	rule(r.c, chain, out(r.ours), ipv4(), toOpen(r.open), accept())
	rule(r.c, chain, out(r.ours), drop())
}

// sourceKey and openKey are the elements of the two sets; every part fills
// whole registers of four bytes.
func sourceKey(link string, a netip.Addr) string {
	return string(padded(link)) + string(a.AsSlice())
}

func openKey(a netip.Addr, p Opening) string {
	number := binaryutil.BigEndian.PutUint16(p.Port)
	return string(a.AsSlice()) + string([]byte{p.protocol(), 0, 0, 0, number[0], number[1], 0, 0})
}
