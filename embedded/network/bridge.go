package network

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrNoSubnet is returned by Choose when the host uses every candidate.
var ErrNoSubnet = errors.New("no free subnet among 10.77.0.0/16 to 10.127.0.0/16")

// Choose returns the subnet that the cloud's bridge has. Where there is no
// bridge, it returns last, or else the first /16 from 10.77 to 10.127, that the
// host neither has an address in nor routes.
func Choose(id string, last netip.Prefix) (netip.Prefix, error) {
	if _, err := netlink.LinkByName(Options{ID: id}.Bridge()); err == nil && last.IsValid() {
		return last, nil
	}
	used, err := inUse()
	if err != nil {
		return netip.Prefix{}, err
	}
	return firstFree(last, used)
}

func firstFree(last netip.Prefix, used []netip.Prefix) (netip.Prefix, error) {
	candidates := []netip.Prefix{}
	if last.IsValid() {
		candidates = append(candidates, last)
	}
	for second := byte(77); second <= 127; second++ {
		candidates = append(candidates, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, second, 0, 0}), 16))
	}
	for _, candidate := range candidates {
		if !slices.ContainsFunc(used, candidate.Overlaps) {
			return candidate, nil
		}
	}
	return netip.Prefix{}, ErrNoSubnet
}

// inUse returns what the host's addresses and routes cover, default routes left out.
func inUse() ([]netip.Prefix, error) {
	var used []netip.Prefix
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		used = appendPrefix(used, a.IPNet)
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
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

// bridgeUp makes the bridge with the gateway's address. Its hardware address
// is fixed: a bridge otherwise takes that of a member, and changes with it.
func bridgeUp(o Options) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = o.Bridge()
	attrs.HardwareAddr = hardwareAddr(o.ID)
	err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("make bridge %s: %w", o.Bridge(), err)
	}
	link, err := netlink.LinkByName(o.Bridge())
	if err != nil {
		return fmt.Errorf("find bridge %s: %w", o.Bridge(), err)
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{
		IP:   o.Gateway().AsSlice(),
		Mask: net.CIDRMask(o.Subnet.Bits(), 32),
	}}
	if err := netlink.AddrReplace(link, addr); err != nil {
		return fmt.Errorf("give bridge %s the address %s: %w", o.Bridge(), o.Gateway(), err)
	}
	// Groups speak IPv4 only; the bridge needs no address of the other kind.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+o.Bridge()+"/disable_ipv6", []byte("1"), 0)
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring up bridge %s: %w", o.Bridge(), err)
	}
	return nil
}

func bridgeDown(o Options) error {
	link, err := netlink.LinkByName(o.Bridge())
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil {
		return fmt.Errorf("remove bridge %s: %w", o.Bridge(), err)
	}
	return nil
}

// hardwareAddr returns a locally administered unicast address made from the id.
func hardwareAddr(id string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(id))
	return net.HardwareAddr{0x02, sum[0], sum[1], sum[2], sum[3], sum[4]}
}
