package network

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The sets of a router's table, beside sourcesSet.
const (
	// cloudSet maps a group's own address to what the cloud sees of it,
	// privateSet is the reverse.
	cloudSet   = "cloud"
	privateSet = "private"
	// closedSet holds address, protocol and port of what is closed for now.
	closedSet = "closed"
)

// firewallUp writes a router's table:
//
//   - a packet must come from the interface and the address of one group, or
//     from the host;
//   - to the cloud, each group has the cloud address that is its own;
//   - groups of the network reach each other at all ports, but for those of
//     containers that are not ready;
//   - so does the host itself, and nobody else;
//   - the router has nothing for anybody.
func (r *router) firewallUp(o Options) (*table, error) {
	t := &table{name: tableName(o.ID), netns: int(r.namespace)}
	sources := &nftables.Set{Name: sourcesSet, Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeIFName, nftables.TypeIPAddr)}
	cloud := &nftables.Set{Name: cloudSet, IsMap: true, KeyType: nftables.TypeIPAddr, DataType: nftables.TypeIPAddr}
	private := &nftables.Set{Name: privateSet, IsMap: true, KeyType: nftables.TypeIPAddr, DataType: nftables.TypeIPAddr}
	closed := &nftables.Set{Name: closedSet, Concatenation: true,
		KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService)}
	err := t.write([]*nftables.Set{sources, cloud, private, closed}, func(c *nftables.Conn, nt *nftables.Table) {
		w := &rules{c: c, table: nt, options: o}
		w.checkRouterSource(sources)
		w.translate(cloud, private)
		w.guardNetwork(closed)
	})
	return t, err
}

func (r *rules) checkRouterSource(sources *nftables.Set) {
	chain := r.chain("sources", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	rule(r.c, chain, in(padded(uplink)), ipv4(), accept())
	rule(r.c, chain, fromSource(sources), accept())
	rule(r.c, chain, drop())
}

// translate has a group be its cloud address towards the host, both ways. The
// operator, who comes to the group's own address, is answered from there.
func (r *rules) translate(cloud, private *nftables.Set) {
	arriving := r.chain("arriving", nftables.ChainTypeNAT, nftables.ChainHookPrerouting, nftables.ChainPriorityNATDest)
	rule(r.c, arriving, in(padded(uplink)), ipv4(), mapped(destinationAt, private), nat(expr.NATTypeDestNAT))
	leaving := r.chain("leaving", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	rule(r.c, leaving, out(padded(uplink)), ipv4(), mapped(sourceAt, cloud), nat(expr.NATTypeSourceNAT))
}

// mapped loads what an address of the packet is mapped to; one that is not in
// the map does not match.
func mapped(at uint32, m *nftables.Set) []expr.Any {
	return []expr.Any{
		field(expr.PayloadBaseNetworkHeader, at, 4, register16),
		&expr.Lookup{SourceRegister: register16, DestRegister: register16, IsDestRegSet: true, SetName: m.Name, SetID: m.ID},
	}
}

// nat changes an address to the one that was loaded.
func nat(kind expr.NATType) []expr.Any {
	return []expr.Any{&expr.NAT{Type: kind, Family: unix.NFPROTO_IPV4, RegAddrMin: register16}}
}

func (r *rules) guardNetwork(closed *nftables.Set) {
	chain := r.chain("network", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
	rule(r.c, chain, established(), accept())
	rule(r.c, chain, elseOut(padded(uplink)), ipv4(), toOpen(closed), drop())
	rule(r.c, chain, in(padded(uplink)), source(Gateway(r.options.Pool)), elseOut(padded(uplink)), accept())
	rule(r.c, chain, elseIn(padded(uplink)), accept())
	rule(r.c, chain, drop())
	router := r.chain("router", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
	rule(r.c, router, drop())
}

// addressKey is an element of a map of addresses, or its value.
func addressKey(a netip.Addr) string { return string(a.AsSlice()) }
