package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"frankenetes.dev/embedded/network/links"
)

// ErrNoPool is returned by Claim when the host uses every candidate.
var ErrNoPool = errors.New("no free range of addresses in 198.18.0.0/15")

// PoolRange is set aside for tests of networks (RFC 2544): no virtual network
// is made of it, and hardly any host routes it.
var PoolRange = netip.MustParsePrefix("198.18.0.0/15")

// poolBits is the size of a pool: some four thousand groups.
const poolBits = 20

// Claim takes a pool of addresses for a cloud: the one that its gateway has,
// or else last, or the first in 198.18.0.0/15 that the host neither has an
// address in nor routes. The claim is a route by which addresses of nobody
// are refused; the kernel lets only one cloud make it. A route has no name:
// the gateway gets its address before, so that whose the claim is can be told
// whenever the daemon ends.
func Claim(id string, last netip.Prefix) (netip.Prefix, error) {
	gateway, pool, err := findGateway(id)
	if err != nil {
		return netip.Prefix{}, err
	}
	if pool.IsValid() {
		return pool, claim(netlink.RouteReplace, pool)
	}
	used, err := inUse()
	if err != nil {
		return netip.Prefix{}, err
	}
	for _, candidate := range candidates(last, used) {
		address := &netlink.Addr{IPNet: links.Single(Gateway(candidate))}
		if err := netlink.AddrAdd(gateway, address); err != nil {
			return netip.Prefix{}, fmt.Errorf("give %s the address %s: %w", prefix(id), address.IP, err)
		}
		err := claim(netlink.RouteAdd, candidate)
		if err == nil {
			return candidate, nil
		}
		if undo := netlink.AddrDel(gateway, address); undo != nil || !errors.Is(err, unix.EEXIST) {
			return netip.Prefix{}, errors.Join(err, undo)
		}
	}
	return netip.Prefix{}, ErrNoPool
}

// findGateway returns the gateway of a cloud, made if there is none, and the
// pool that it has claimed, if any.
func findGateway(id string) (netlink.Link, netip.Prefix, error) {
	gateway, err := makeGateway(id)
	if err != nil {
		return nil, netip.Prefix{}, err
	}
	addresses, err := links.Whole(func() ([]netlink.Addr, error) { return netlink.AddrList(gateway, netlink.FAMILY_V4) })
	if err != nil {
		return nil, netip.Prefix{}, fmt.Errorf("list addresses of %s: %w", prefix(id), err)
	}
	for _, a := range addresses {
		address, ok := netip.AddrFromSlice(a.IP.To4())
		if ok && PoolRange.Contains(address) {
			return gateway, netip.PrefixFrom(address, poolBits).Masked(), nil
		}
	}
	if len(addresses) == 0 {
		return gateway, netip.Prefix{}, nil
	}
	// Of a version that gave out other addresses.
	if err := netlink.LinkDel(gateway); err != nil {
		return nil, netip.Prefix{}, fmt.Errorf("remove interface %s: %w", prefix(id), err)
	}
	gateway, err = makeGateway(id)
	return gateway, netip.Prefix{}, err
}

func claim(add func(*netlink.Route) error, pool netip.Prefix) error {
	if err := add(refusal(pool)); err != nil {
		return fmt.Errorf("claim addresses %s: %w", pool, err)
	}
	return nil
}

// unclaim gives a pool back.
func unclaim(pool netip.Prefix) error {
	if !pool.IsValid() {
		return nil
	}
	if err := netlink.RouteDel(refusal(pool)); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("give back addresses %s: %w", pool, err)
	}
	return nil
}

// refusal is a route by which whoever asks for an address of a range, and has
// no better route, is told at once that it cannot be reached.
func refusal(p netip.Prefix) *netlink.Route {
	return &netlink.Route{Dst: links.IPNet(p), Type: unix.RTN_UNREACHABLE, Table: unix.RT_TABLE_MAIN}
}

// candidates returns the pools that are free, the last one first.
func candidates(last netip.Prefix, used []netip.Prefix) []netip.Prefix {
	var list []netip.Prefix
	if last.IsValid() && PoolRange.Overlaps(last) {
		list = append(list, last)
	}
	for p := netip.PrefixFrom(PoolRange.Addr(), poolBits); PoolRange.Overlaps(p); p = following(p) {
		if p != last {
			list = append(list, p)
		}
	}
	return slices.DeleteFunc(list, func(p netip.Prefix) bool { return slices.ContainsFunc(used, p.Overlaps) })
}

// following returns the next range of the same size.
func following(p netip.Prefix) netip.Prefix {
	return netip.PrefixFrom(addrAt(p, 1<<(32-p.Bits())), p.Bits())
}

// inUse returns what the host's addresses and routes cover, default routes left out.
func inUse() ([]netip.Prefix, error) {
	var used []netip.Prefix
	addrs, err := links.Whole(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		used = appendPrefix(used, a.IPNet)
	}
	routes, err := links.Whole(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		used = appendPrefix(used, r.Dst)
	}
	return used, nil
}

func appendPrefix(list []netip.Prefix, n *net.IPNet) []netip.Prefix {
	if n == nil {
		return list
	}
	addr, ok := netip.AddrFromSlice(n.IP.To4())
	ones, _ := n.Mask.Size()
	if !ok || ones == 0 {
		return list
	}
	return append(list, netip.PrefixFrom(addr, ones).Masked())
}
