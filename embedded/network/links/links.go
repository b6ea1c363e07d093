// Package links makes the ends of veths: how one comes up, what it knows of
// its neighbour, and how to act inside another network namespace. It stands
// apart because two programs make them alike: the daemon, for the routers of
// virtual networks, and the CNI plugin, for container groups.
//
// Nothing on these links asks or answers who has an address: every neighbour
// is told once and for all, so that nobody can claim to be another.
package links

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// NextHop is where every end of a veth sends what it has no better route for.
// Nobody has the address: the neighbour entry for it is fixed, so that nobody
// can claim it either.
var NextHop = netip.AddrFrom4([4]byte{169, 254, 1, 1})

// Quiet brings up an interface that neither asks nor answers who has an address.
func Quiet(h *netlink.Handle, name string) (netlink.Link, error) {
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

// Neighbour tells an interface, for good, the hardware address behind an address.
func Neighbour(h *netlink.Handle, link netlink.Link, address netip.Addr, mac net.HardwareAddr) error {
	err := h.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, Family: netlink.FAMILY_V4, State: netlink.NUD_PERMANENT,
		IP: address.AsSlice(), HardwareAddr: mac})
	if err != nil {
		return fmt.Errorf("add neighbour %s of %s: %w", address, link.Attrs().Name, err)
	}
	return nil
}

// Remove removes an interface; that it is not there is no error.
func Remove(h *netlink.Handle, name string) error {
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

// IPNet is a range as netlink has it.
func IPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Masked().Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}

// Single is the range of one address.
func Single(a netip.Addr) *net.IPNet { return IPNet(netip.PrefixFrom(a, 32)) }

// NoIPv6 switches IPv6 off on an interface; a kernel without it has no switch.
func NoIPv6(namespace netns.NsHandle, name string) error {
	err := Within(namespace, func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("switch off IPv6 on %s: %w", name, err)
	}
	return nil
}

// Within calls fn on a thread of its own in a network namespace; the thread
// ends with it.
func Within(namespace netns.NsHandle, fn func() error) error {
	return onThread(func() error {
		if err := netns.Set(namespace); err != nil {
			return err
		}
		return fn()
	})
}

// onThread calls fn on a thread that nobody else gets before or after.
func onThread(fn func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never let go: the thread ends with it
		result <- fn()
	}()
	return <-result
}

// Whole lists something of the kernel's network, anew for as long as it
// changed while it was listed: then the list may lack what was always there.
func Whole[T any](list func() ([]T, error)) ([]T, error) {
	for {
		all, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
}
