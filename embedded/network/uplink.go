package network

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"frankenetes.dev/embedded/network/links"
)

// routeCloud makes the host send what is for a group's cloud address to its
// router, from the gateway.
func (r *router) routeCloud(cloud, gateway netip.Addr) error {
	return r.routeTo(netip.PrefixFrom(cloud, 32), gateway)
}

func (r *router) routeTo(p netip.Prefix, gateway netip.Addr) error {
	route, err := r.hostRoute(p)
	if err != nil {
		return err
	}
	route.Src = gateway.AsSlice()
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("route %s to %s: %w", p, r.link, err)
	}
	return nil
}

// unroute takes a route back. One that is gone, as with its interface, is no
// error.
func (r *router) unroute(p netip.Prefix) error {
	route, err := r.hostRoute(p)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := netlink.RouteDel(route); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("remove route of %s to %s: %w", p, r.link, err)
	}
	return nil
}

func (r *router) hostRoute(p netip.Prefix) (*netlink.Route, error) {
	link, err := netlink.LinkByName(r.link)
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", r.link, err)
	}
	return &netlink.Route{LinkIndex: link.Attrs().Index, Dst: links.IPNet(p), Gw: links.NextHop.AsSlice(), Flags: int(netlink.FLAG_ONLINK)}, nil
}

// openHost has the host route the ranges of virtual networks to them: the
// operator is in each of them, as through a VPN. Where two have the same
// addresses, or the host has them already, the first keeps them: the others'
// groups are reached by the ports that they publish. The caller holds the lock.
func (n *Network) openHost() error {
	used, err := inUse()
	if err != nil {
		return err
	}
	// The same order each time, whatever daemon it is.
	for _, r := range sorted(n.routers) {
		for _, space := range r.space {
			if slices.Contains(r.open, space) {
				continue
			}
			if slices.ContainsFunc(used, space.Overlaps) {
				n.options.Log.Info("the host has these addresses already: it does not reach a virtual network by them", "addresses", space, "interface", r.link)
				continue
			}
			if err := r.routeTo(space, Gateway(n.options.Pool)); err != nil {
				return err
			}
			r.open, used = append(r.open, space), append(used, space)
		}
	}
	return nil
}

// routed returns the ranges that the host routes to the router.
func (r *router) routed() ([]netip.Prefix, error) {
	link, err := netlink.LinkByName(r.link)
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", r.link, err)
	}
	routes, err := links.Whole(func() ([]netlink.Route, error) { return netlink.RouteList(link, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list routes of %s: %w", r.link, err)
	}
	var ranges []netip.Prefix
	for _, route := range routes {
		ranges = appendPrefix(ranges, route.Dst)
	}
	return slices.DeleteFunc(ranges, netip.Prefix.IsSingleIP), nil
}
