package network

import (
	"errors"
	"net/netip"
	"slices"
)

// enforce makes the firewalls what the members need. The caller holds the lock.
func (n *Network) enforce() error {
	host := map[string]elements{sourcesSet: {}, openSet: {}, outboundSet: {}}
	inside := map[*router]map[string]elements{}
	for _, r := range n.routers {
		inside[r] = map[string]elements{sourcesSet: {}, cloudSet: {}, privateSet: {}, closedSet: {}}
		r.admit(host)
	}
	for _, m := range n.members {
		m.admit(host)
		if m.router != nil {
			m.admitInside(inside[m.router])
		}
	}
	errs := []error{n.firewall.apply(host, !n.settled)}
	for r, want := range inside {
		errs = append(errs, r.firewall.apply(want, !n.settled))
	}
	return errors.Join(errs...)
}

// admit adds what the host's firewall has of a member.
func (m *member) admit(want map[string]elements) {
	want[sourcesSet][sourceKey(m.place.Link, m.place.Cloud)] = ""
	if m.router == nil {
		want[outboundSet][addressKey(m.place.Cloud)] = ""
		for _, p := range m.open {
			want[openSet][openKey(m.place.Cloud, p)] = ""
		}
		return
	}
	if m.subnet.Outbound {
		want[outboundSet][addressKey(m.place.Cloud)] = ""
	}
	if m.router.answers(m.place.Private) {
		want[sourcesSet][sourceKey(m.place.Link, m.place.Private)] = ""
	}
}

// admit adds what the host's firewall has of a router: its own addresses, from
// which it says that an address is nobody's.
func (r *router) admit(want map[string]elements) {
	for _, own := range r.own {
		if r.answers(own) {
			want[sourcesSet][sourceKey(r.link, own)] = ""
		}
	}
}

// answers reports whether the operator is answered from an address.
func (r *router) answers(a netip.Addr) bool {
	return slices.ContainsFunc(r.open, func(space netip.Prefix) bool { return space.Contains(a) })
}

// admitInside adds what its router's firewall has of a member.
func (m *member) admitInside(want map[string]elements) {
	cloud, private := addressKey(m.place.Cloud), addressKey(m.place.Private)
	want[sourcesSet][sourceKey(m.place.Peer, m.place.Private)] = ""
	want[cloudSet][private] = cloud
	want[privateSet][cloud] = private
	for _, p := range m.closed {
		want[closedSet][openKey(m.place.Private, p)] = ""
	}
}
