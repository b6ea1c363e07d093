package network

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"frankenetes.dev/embedded/network/attach"
	"frankenetes.dev/embedded/network/links"
)

// router is a virtual network: a network namespace in which each of its groups
// has the other end of its veth. One more veth, the uplink, joins it to the
// host. Addresses of groups exist only in there, and so two virtual networks
// may have the same.
type router struct {
	number int
	// mark is the alias of the uplink: by it a router is known again.
	mark string
	// link is the uplink's end in the host.
	link      string
	path      string // of the namespace
	namespace netns.NsHandle
	inside    *netlink.Handle
	firewall  *table
	// space is what the virtual network has, open the part of it that the host
	// routes to it.
	space, open []netip.Prefix
	// own are its addresses: the first of each subnet.
	own   []netip.Addr
	pools map[netip.Prefix]*pool
}

// uplink is the name of its end in a router.
const uplink = "uplink"

// The hardware addresses of an uplink's ends; they meet nobody but each other.
var (
	uplinkOutside = net.HardwareAddr{0x02, 0xfa, 0xce, 0, 0, 2}
	uplinkInside  = net.HardwareAddr{0x02, 0xfa, 0xce, 0, 0, 3}
)

func uplinkPrefix(id string) string           { return prefix(id) + "n" }
func uplinkName(id string, number int) string { return fmt.Sprintf("%s%03x", uplinkPrefix(id), number) }

// maxRouters is how many names of uplinks there are.
const maxRouters = 0x1000

// markOf is what the uplink of a virtual network is marked with.
func markOf(network string) string {
	sum := sha256.Sum256([]byte(network))
	return hex.EncodeToString(sum[:16])
}

// router returns the router of a subnet's virtual network, made if there is
// none. The caller holds the lock.
func (n *Network) router(s *Subnet) (*router, error) {
	r := n.routers[markOf(s.Network)]
	if r == nil {
		number, err := n.freeRouter()
		if err != nil {
			return nil, err
		}
		r = n.newRouter(number, markOf(s.Network))
		if err = r.make(); err == nil {
			err = r.ready(n.options)
		}
		if err != nil {
			return nil, fmt.Errorf("make router of virtual network %s: %w", s.Network, errors.Join(err, r.remove()))
		}
		n.routers[r.mark] = r
	}
	wider, err := r.widen(s)
	if err == nil && wider {
		err = n.openHost()
	}
	return r, err
}

func (n *Network) freeRouter() (int, error) {
	used := map[int]bool{}
	for _, r := range n.routers {
		used[r.number] = true
	}
	for number := range maxRouters {
		if !used[number] {
			return number, nil
		}
	}
	return 0, fmt.Errorf("there are %d virtual networks with container groups, which is as many as there can be", maxRouters)
}

func (n *Network) newRouter(number int, mark string) *router {
	return &router{number: number, mark: mark, link: uplinkName(n.options.ID, number), namespace: netns.None(),
		path: filepath.Join(n.options.Namespaces, fmt.Sprintf("%03x", number)), pools: map[netip.Prefix]*pool{}}
}

// findRouters finds those of an earlier daemon.
func (n *Network) findRouters() error {
	all, err := links.Whole(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	for _, link := range all {
		rest, ours := strings.CutPrefix(link.Attrs().Name, uplinkPrefix(n.options.ID))
		number, err := strconv.ParseUint(rest, 16, 16)
		if !ours || err != nil {
			continue
		}
		r := n.newRouter(int(number), link.Attrs().Alias)
		if r.mark != "" && n.routers[r.mark] == nil && r.ready(n.options) == nil {
			n.routers[r.mark] = r
		} else if err := r.remove(); err != nil { // half made
			return err
		}
	}
	return nil
}

// make makes the namespace and the uplink.
func (r *router) make() error {
	if err := r.remove(); err != nil { // what a crash left
		return err
	}
	if err := links.NewNamespace(r.path); err != nil {
		return err
	}
	namespace, err := links.OpenNamespace(r.path)
	if err != nil {
		return err
	}
	defer namespace.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = r.link, uplinkOutside
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: uplink, PeerHardwareAddr: uplinkInside, PeerNamespace: netlink.NsFd(int(namespace))}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make interface %s: %w", r.link, err)
	}
	// Last: with its mark, it is whole.
	if err := netlink.LinkSetAlias(pair, r.mark); err != nil {
		return fmt.Errorf("mark interface %s: %w", r.link, err)
	}
	return nil
}

// ready opens the router and makes right what it does with packets.
func (r *router) ready(o Options) error {
	var err error
	if r.namespace, err = links.OpenNamespace(r.path); err != nil {
		return err
	}
	if r.inside, err = netlink.NewHandleAt(r.namespace, unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", r.path, err)
	}
	if err := r.connect(); err != nil {
		return err
	}
	if err := links.Within(r.namespace, forward); err != nil {
		return err
	}
	if r.open, err = r.routed(); err != nil {
		return err
	}
	r.firewall, err = r.firewallUp(o)
	return err
}

// connect brings up both ends of the uplink. Whatever the router has no better
// route for goes to the host.
func (r *router) connect() error {
	outside, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer outside.Close()
	lo, err := r.inside.LinkByName("lo")
	if err == nil {
		err = r.inside.LinkSetUp(lo)
	}
	if err != nil {
		return fmt.Errorf("bring up lo of %s: %w", r.path, err)
	}
	link, err := links.Quiet(outside, r.link)
	if err != nil {
		return err
	}
	if err := links.Neighbour(outside, link, links.NextHop, uplinkInside); err != nil {
		return err
	}
	if link, err = links.Quiet(r.inside, uplink); err != nil {
		return err
	}
	if err := links.Neighbour(r.inside, link, links.NextHop, uplinkOutside); err != nil {
		return err
	}
	world := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: links.NextHop.AsSlice(), Flags: int(netlink.FLAG_ONLINK)}
	if err := r.inside.RouteReplace(world); err != nil {
		return fmt.Errorf("add default route of %s: %w", r.path, err)
	}
	for _, p := range privateRanges() {
		if err := r.inside.RouteReplace(refusal(p)); err != nil {
			return fmt.Errorf("refuse %s in %s: %w", p, r.path, err)
		}
	}
	return nil
}

// privateRanges are addresses that are nobody's on the internet. As on Azure, a
// virtual network knows of them only what it has itself: what is meant for a
// Service of a cluster, say, must not end at somebody in the operator's network.
func privateRanges() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
		netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("100.64.0.0/10"),
	}
}

// widen has the router know the ranges of its virtual network: addresses that
// nobody has are refused, and it has the first of each subnet itself. It
// reports whether any range is new.
func (r *router) widen(s *Subnet) (wider bool, err error) {
	for _, space := range s.Space {
		if slices.Contains(r.space, space) {
			continue
		}
		if err := r.inside.RouteReplace(refusal(space)); err != nil {
			return wider, fmt.Errorf("route %s: %w", space, err)
		}
		r.space, wider = append(r.space, space), true
	}
	own := addrAt(s.Prefix, 1)
	if slices.Contains(r.own, own) {
		return wider, nil
	}
	lo, err := r.inside.LinkByName("lo")
	if err == nil {
		err = r.inside.AddrReplace(lo, &netlink.Addr{IPNet: links.Single(own)})
	}
	if err != nil {
		return wider, fmt.Errorf("give router the address of subnet %s: %w", s.Prefix, err)
	}
	r.own = append(r.own, own)
	return wider, nil
}

// pool gives out the addresses of a subnet.
func (r *router) pool(p netip.Prefix) *pool {
	if r.pools[p] == nil {
		r.pools[p] = newPool(p, reservedAddresses)
	}
	return r.pools[p]
}

// place is what a group gets that has the two addresses.
func (r *router) place(cloud, private netip.Addr, number int) Place {
	plan := attach.Plan{Address: private, Peer: fmt.Sprintf("g%03x", number), Namespace: r.path}
	return Place{Addresses: Addresses{Cloud: cloud, Private: private}, Link: r.link, Peer: plan.Peer, Annotations: plan.Annotations()}
}

// dropUnused removes a router that no group needs. While groups of an earlier
// daemon may still come to join, it waits for Settle.
func (n *Network) dropUnused(r *router) error {
	if !n.settled {
		return nil
	}
	for _, m := range n.members {
		if m.router == r {
			return nil
		}
	}
	if n.routers[r.mark] == r {
		delete(n.routers, r.mark)
	}
	// Another network may have waited for its addresses.
	return errors.Join(r.remove(), n.openHost())
}

// remove removes the router with all that is in it.
func (r *router) remove() error {
	if r.inside != nil {
		r.inside.Close()
	}
	if r.namespace.IsOpen() {
		r.namespace.Close()
	}
	r.namespace, r.inside, r.firewall = netns.None(), nil, nil
	outside, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	defer outside.Close()
	return errors.Join(links.Remove(outside, r.link), links.RemoveNamespace(r.path))
}

// removeLinks removes what groups left that are no more.
func (r *router) removeLinks(members map[string]*member) error {
	all, err := links.Whole(r.inside.LinkList)
	if err != nil {
		return fmt.Errorf("list interfaces of %s: %w", r.path, err)
	}
	used := map[string]bool{"lo": true, uplink: true}
	for _, m := range members {
		used[m.place.Peer] = used[m.place.Peer] || m.router == r
	}
	var errs []error
	for _, link := range all {
		if name := link.Attrs().Name; link.Type() == "veth" && !used[name] {
			errs = append(errs, links.Remove(r.inside, name))
		}
	}
	return errors.Join(errs...)
}

// sorted returns routers by their number.
func sorted(routers map[string]*router) []*router {
	return slices.SortedFunc(maps.Values(routers), func(a, b *router) int { return a.number - b.number })
}
