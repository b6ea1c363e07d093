package machine

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"frankenetes.dev/embedded/network/links"
)

// claimRange is where clouds have their addresses. Each claims some by a route
// by which those of nobody are refused, and its gateway has the first of them.
var claimRange = netip.MustParsePrefix("198.18.0.0/15")

// claims returns the claims of all clouds of this host.
func claims(t *testing.T) []netlink.Route {
	t.Helper()
	routes, err := links.Whole(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Type: unix.RTN_UNREACHABLE}, netlink.RT_FILTER_TYPE)
	})
	if err != nil {
		t.Fatal(err)
	}
	var list []netlink.Route
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		if a, ok := netip.AddrFromSlice(r.Dst.IP.To4()); ok && claimRange.Contains(a) {
			list = append(list, r)
		}
	}
	return list
}

// owned reports whether some interface has a gateway's address in a claim: a
// claim names its cloud by nothing else.
func owned(t *testing.T, claim netlink.Route) bool {
	t.Helper()
	return holds(t, nil, claim)
}

// holds reports whether an interface, or any if it is nil, has an address in a claim.
func holds(t *testing.T, link netlink.Link, claim netlink.Route) bool {
	t.Helper()
	addresses, err := links.Whole(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_V4) })
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if claim.Dst.Contains(a.IP) && a.IP.Equal(first(claim.Dst)) {
			return true
		}
	}
	return false
}

func first(n *net.IPNet) net.IP {
	a, _ := netip.AddrFromSlice(n.IP.To4())
	return a.Next().AsSlice()
}

// claims returns those of the cloud, whose gateway must be there.
func (tr Traces) claims(t *testing.T) []netlink.Route {
	t.Helper()
	gateway, err := netlink.LinkByName("fk" + tr.tag)
	if err != nil {
		t.Fatal(err)
	}
	var list []netlink.Route
	for _, c := range claims(t) {
		if holds(t, gateway, c) {
			list = append(list, c)
		}
	}
	return list
}
