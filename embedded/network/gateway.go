package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

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
// are refused; the kernel lets only one cloud make it.
func Claim(id string, last netip.Prefix) (netip.Prefix, error) {
	if link, err := netlink.LinkByName(prefix(id)); err == nil {
		if last.IsValid() && PoolRange.Overlaps(last) {
			return last, netlink.RouteReplace(refusal(last))
		}
		// Of a version that gave out other addresses.
		if err := netlink.LinkDel(link); err != nil {
			return netip.Prefix{}, fmt.Errorf("remove interface %s: %w", prefix(id), err)
		}
	}
	used, err := inUse()
	if err != nil {
		return netip.Prefix{}, err
	}
	for _, candidate := range candidates(last, used) {
		err := netlink.RouteAdd(refusal(candidate))
		if errors.Is(err, unix.EEXIST) {
			continue
		}
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("claim addresses %s: %w", candidate, err)
		}
		return candidate, nil
	}
	return netip.Prefix{}, ErrNoPool
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

// gatewayUp makes the interface that has the gateway's address and nothing
// behind it: the services listen there, whatever groups come and go. It is a
// bridge without members, since not every kernel has dummy interfaces.
func gatewayUp(o Options) error {
	name := prefix(o.ID)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make interface %s: %w", name, err)
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find interface %s: %w", name, err)
	}
	gateway := Gateway(o.Pool)
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: links.Single(gateway)}); err != nil {
		return fmt.Errorf("give %s the address %s: %w", name, gateway, err)
	}
	// Groups speak IPv4 only.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring up interface %s: %w", name, err)
	}
	return nil
}

// removeLinks removes the cloud's interfaces but those in use.
func removeLinks(id string, used map[string]bool) error {
	all, err := links.Whole(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	var errs []error
	for _, link := range all {
		name := link.Attrs().Name
		if !strings.HasPrefix(name, prefix(id)) || used[name] {
			continue
		}
		if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("remove interface %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
