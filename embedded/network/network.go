// Package network gives container groups addresses: a bridge of the cloud's
// own, the firewall around it, and ports published on the host's loopback. It
// exists apart from containerd because the bridge must be there, with the
// cloud's own services listening on it, before the first group is.
//
// Everything is named by the cloud's id, so that several clouds on one host do
// not meet.
package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
)

// Options say what the network of a cloud looks like.
type Options struct {
	// ID is eight hexadecimal digits that no other cloud on this host has.
	ID string
	// Subnet is what groups get addresses from; its first address is the
	// gateway's, which is the host.
	Subnet netip.Prefix
	// Services are what groups may reach on the host: nothing else.
	Services []Service
}

// Service is a service of the cloud as groups see it, and where on the gateway
// it really listens. They differ so that well-known ports, which others on the
// host may have, need not be free.
type Service struct {
	// UDP says which of the two protocols it is.
	UDP bool
	// Address and Port are what groups use; no address means the gateway's.
	Address netip.Addr
	Port    uint16
	// Listens is the port on the gateway's address.
	Listens uint16
}

// MetadataAddress is where a group finds its instance metadata, port 80.
var MetadataAddress = netip.AddrFrom4([4]byte{169, 254, 169, 254})

// Bridge returns the name of the bridge.
func (o Options) Bridge() string { return "fk" + o.ID }

// table is the name of the cloud's own nftables table.
func (o Options) table() string { return "frankenetes_" + o.ID }

// Gateway returns the host's address on the bridge.
func (o Options) Gateway() netip.Addr { return Gateway(o.Subnet) }

// Gateway returns the first address of a subnet.
func Gateway(subnet netip.Prefix) netip.Addr { return subnet.Masked().Addr().Next() }

// forwarding is the switch by which Linux passes packets between interfaces.
const forwarding = "/proc/sys/net/ipv4/ip_forward"

// Up makes the bridge and the firewall, or makes them right.
func Up(o Options) error {
	if err := bridgeUp(o); err != nil {
		return err
	}
	if err := forward(); err != nil {
		return err
	}
	return firewallUp(o)
}

// Down removes both. What is absent already is no error.
func Down(o Options) error {
	return errors.Join(firewallDown(o), bridgeDown(o))
}

// forward switches forwarding on where it is off. It is not switched off again:
// others may have come to need it.
func forward() error {
	now, err := os.ReadFile(forwarding)
	if err != nil {
		return fmt.Errorf("read %s: %w", forwarding, err)
	}
	if len(now) > 0 && now[0] == '1' {
		return nil
	}
	if err := os.WriteFile(forwarding, []byte("1"), 0); err != nil {
		return fmt.Errorf("switch on forwarding: %w", err)
	}
	return nil
}
