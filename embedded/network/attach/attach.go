package attach

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// NextHop is where every group sends everything. Nobody has the address: the
// neighbour entry for it is fixed, so that nobody can claim it either.
var NextHop = netip.AddrFrom4([4]byte{169, 254, 1, 1})

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
	other, err := open(p.Namespace)
	if err != nil {
		return nil, fmt.Errorf("open network namespace %q: %w", p.Namespace, err)
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
	if err := noIPv6(group, name); err != nil {
		return nil, err
	}
	if err := noIPv6(other, p.Peer); err != nil {
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
	return remove(inside, name)
}

func open(path string) (netns.NsHandle, error) {
	if path == "" {
		return netns.Get()
	}
	return netns.GetFromPath(path)
}

func remove(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err == nil {
		err = h.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("remove interface %s: %w", name, err)
	}
	return nil
}

// makePair makes the two ends. An interface that has the peer's name is what a
// crash left: the daemon gives each name to one group at a time.
func makePair(inside, outside *netlink.Handle, other netns.NsHandle, name string, p Plan) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = name, groupMAC(p.Address)
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: p.Peer, PeerHardwareAddr: peerMAC, PeerNamespace: netlink.NsFd(int(other))}
	err := inside.LinkAdd(pair)
	if errors.Is(err, unix.EEXIST) {
		if err = remove(outside, p.Peer); err == nil {
			err = inside.LinkAdd(pair)
		}
	}
	if err != nil {
		return fmt.Errorf("make interfaces %s and %s: %w", name, p.Peer, err)
	}
	return nil
}

func setUpOutside(h *netlink.Handle, p Plan) error {
	link, err := quietLink(h, p.Peer)
	if err != nil {
		return err
	}
	if err := neighbour(h, link, p.Address, groupMAC(p.Address)); err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: single(p.Address), Scope: netlink.SCOPE_LINK}
	if p.Source.IsValid() {
		route.Src = p.Source.AsSlice()
	}
	if err := h.RouteReplace(route); err != nil {
		return fmt.Errorf("route %s to %s: %w", p.Address, p.Peer, err)
	}
	return nil
}

func setUpInside(h *netlink.Handle, name string, address netip.Addr) error {
	link, err := quietLink(h, name)
	if err != nil {
		return err
	}
	if err := h.AddrReplace(link, &netlink.Addr{IPNet: single(address)}); err != nil {
		return fmt.Errorf("give %s the address %s: %w", name, address, err)
	}
	if err := neighbour(h, link, NextHop, peerMAC); err != nil {
		return err
	}
	index := link.Attrs().Index
	for _, route := range []*netlink.Route{
		{LinkIndex: index, Dst: single(NextHop), Scope: netlink.SCOPE_LINK},
		{LinkIndex: index, Gw: NextHop.AsSlice()},
	} {
		if err := h.RouteReplace(route); err != nil {
			return fmt.Errorf("add route of %s: %w", name, err)
		}
	}
	return nil
}

// quietLink brings up an interface that neither asks nor answers who has an
// address.
func quietLink(h *netlink.Handle, name string) (netlink.Link, error) {
	link, err := h.LinkByName(name)
	if err == nil {
		err = h.LinkSetARPOff(link)
	}
	if err == nil {
		err = h.LinkSetUp(link)
	}
	if err != nil {
		return nil, fmt.Errorf("bring up interface %s: %w", name, err)
	}
	return link, nil
}

func neighbour(h *netlink.Handle, link netlink.Link, address netip.Addr, mac net.HardwareAddr) error {
	err := h.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, Family: netlink.FAMILY_V4, State: netlink.NUD_PERMANENT,
		IP: address.AsSlice(), HardwareAddr: mac})
	if err != nil {
		return fmt.Errorf("add neighbour %s of %s: %w", address, link.Attrs().Name, err)
	}
	return nil
}

func single(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(32, 32)}
}

// noIPv6 switches IPv6 off on an interface; a kernel without it has no switch.
func noIPv6(namespace netns.NsHandle, name string) error {
	err := within(namespace, func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("switch off IPv6 on %s: %w", name, err)
	}
	return nil
}

// within calls fn on a thread of its own in a network namespace; the thread
// ends with it.
func within(namespace netns.NsHandle, fn func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never let go: nobody else gets this thread
		if err := netns.Set(namespace); err != nil {
			result <- err
			return
		}
		result <- fn()
	}()
	return <-result
}
