package network

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"frankenetes.dev/embedded/network/links"
)

// makeGateway makes the interface that has the gateway's address and nothing
// behind it: the services listen there, whatever groups come and go. It is a
// bridge without members, since not every kernel has dummy interfaces.
func makeGateway(id string) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = prefix(id)
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("make interface %s: %w", attrs.Name, err)
	}
	link, err := netlink.LinkByName(attrs.Name)
	if err != nil {
		return nil, fmt.Errorf("find interface %s: %w", attrs.Name, err)
	}
	return link, nil
}

// gatewayUp brings the gateway up, with its address.
func gatewayUp(o Options) error {
	link, err := makeGateway(o.ID)
	if err != nil {
		return err
	}
	name := prefix(o.ID)
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
