package attach

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"frankenetes.dev/embedded/network/links"
)

// peerMAC is the hardware address of every other end; they never meet.
var peerMAC = net.HardwareAddr{0x02, 0xfa, 0xce, 0, 0, 1}

// groupMAC is made from a group's address.
func groupMAC(a netip.Addr) net.HardwareAddr {
	b := a.As4()
	return net.HardwareAddr{0x02, 0xfb, b[0], b[1], b[2], b[3]}
}

// Attach makes the interface name in the network namespace at a path, and its
// other end, as the plan has it. It returns the interface's hardware address.
func Attach(namespace, name string, p Plan) (net.HardwareAddr, error) {
	group, err := netns.GetFromPath(namespace)
	if err != nil {
		return nil, fmt.Errorf("open network namespace %s: %w", namespace, err)
	}
	defer group.Close()
	other, err := links.OpenNamespace(p.Namespace)
	if err != nil {
		return nil, err
	}
	defer other.Close()
	inside, err := netlink.NewHandleAt(group, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("enter network namespace %s: %w", namespace, err)
	}
	defer inside.Close()
	outside, err := netlink.NewHandleAt(other, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("enter network namespace %q: %w", p.Namespace, err)
	}
	defer outside.Close()
	if err := makePair(inside, outside, other, name, p); err != nil {
		return nil, err
	}
	// Groups speak IPv4 only.
	if err := links.NoIPv6(group, name); err != nil {
		return nil, err
	}
	if err := links.NoIPv6(other, p.Peer); err != nil {
		return nil, err
	}
	if err := setUpOutside(outside, p); err != nil {
		return nil, err
	}
	return groupMAC(p.Address), setUpInside(inside, name, p.Address)
}

// Detach removes the interface, and with it the other end. That it, or the
// namespace, is gone already is no error.
func Detach(namespace, name string) error {
	group, err := netns.GetFromPath(namespace)
	if errors.Is(err, os.ErrNotExist) || namespace == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open network namespace %s: %w", namespace, err)
	}
	defer group.Close()
	inside, err := netlink.NewHandleAt(group, unix.NETLINK_ROUTE)
	if errors.Is(err, unix.EINVAL) {
		return nil // the file is there, the namespace behind it is not
	}
	if err != nil {
		return fmt.Errorf("enter network namespace %s: %w", namespace, err)
	}
	defer inside.Close()
	return links.Remove(inside, name)
}

// makePair makes the two ends. An interface that has the peer's name is what a
// crash left: the daemon gives each name to one group at a time.
func makePair(inside, outside *netlink.Handle, other netns.NsHandle, name string, p Plan) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = name, groupMAC(p.Address)
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: p.Peer, PeerHardwareAddr: peerMAC, PeerNamespace: netlink.NsFd(int(other))}
	err := inside.LinkAdd(pair)
	if errors.Is(err, unix.EEXIST) {
		if err = links.Remove(outside, p.Peer); err == nil {
			err = inside.LinkAdd(pair)
		}
	}
	if err != nil {
		return fmt.Errorf("make interfaces %s and %s: %w", name, p.Peer, err)
	}
	return nil
}

func setUpOutside(h *netlink.Handle, p Plan) error {
	link, err := links.Quiet(h, p.Peer)
	if err != nil {
		return err
	}
	if err := links.Neighbour(h, link, p.Address, groupMAC(p.Address)); err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: links.Single(p.Address), Scope: netlink.SCOPE_LINK}
	if p.Source.IsValid() {
		route.Src = p.Source.AsSlice()
	}
	if err := h.RouteReplace(route); err != nil {
		return fmt.Errorf("route %s to %s: %w", p.Address, p.Peer, err)
	}
	return nil
}

func setUpInside(h *netlink.Handle, name string, address netip.Addr) error {
	link, err := links.Quiet(h, name)
	if err != nil {
		return err
	}
	if err := h.AddrReplace(link, &netlink.Addr{IPNet: links.Single(address)}); err != nil {
		return fmt.Errorf("give %s the address %s: %w", name, address, err)
	}
	if err := links.Neighbour(h, link, links.NextHop, peerMAC); err != nil {
		return err
	}
	index := link.Attrs().Index
	for _, route := range []*netlink.Route{
		{LinkIndex: index, Dst: links.Single(links.NextHop), Scope: netlink.SCOPE_LINK},
		{LinkIndex: index, Gw: links.NextHop.AsSlice()},
	} {
		if err := h.RouteReplace(route); err != nil {
			return fmt.Errorf("add route of %s: %w", name, err)
		}
	}
	return nil
}
