package network

import (
	"errors"
	"fmt"
	"net/netip"
)

// reservedAddresses are the first addresses of a subnet that no group gets; as
// on Azure, the first after the subnet's own is that of the router.
const reservedAddresses = 4

// Subnet is the part of a virtual network that a group is put in.
type Subnet struct {
	// ID names the subnet, Network the virtual network that it is part of; no
	// other has the name.
	ID, Network string
	// Space is all that the virtual network has, Prefix what the subnet has.
	Space  []netip.Prefix
	Prefix netip.Prefix
	// Outbound says that groups in it reach the world beyond the cloud.
	Outbound bool
}

// Addresses are those of a group, as they are kept with its record.
type Addresses struct {
	// Cloud is the address that no other group of the cloud has: the group's
	// own or, in a virtual network, what the cloud sees of it.
	Cloud netip.Addr `json:"cloud,omitzero"`
	// Private is the group's own in a virtual network; groups of other
	// networks may have the same.
	Private netip.Addr `json:"private,omitzero"`
}

// Own is the address that the group itself has, and its neighbours use.
func (a Addresses) Own() netip.Addr {
	if a.Private.IsValid() {
		return a.Private
	}
	return a.Cloud
}

// joinSubnet gives a group a place in a virtual network. The caller holds the
// lock and has taken the cloud address.
func (n *Network) joinSubnet(r Request, cloud netip.Addr) (*member, error) {
	router, err := n.router(r.Subnet)
	if err != nil {
		return nil, err
	}
	private, err := router.pool(r.Subnet.Prefix).take(r.Last.Private)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("join the subnet %s: %w", r.Subnet.Prefix, err), n.dropUnused(router))
	}
	m := &member{subnet: r.Subnet, router: router, place: router.place(cloud, private, numberOf(n.options.Pool, cloud))}
	if err := router.routeCloud(cloud, Gateway(n.options.Pool)); err != nil {
		router.pool(r.Subnet.Prefix).giveBack(private)
		return nil, errors.Join(err, n.dropUnused(router))
	}
	n.networkAt.Store(cloud, r.Subnet.Network)
	return m, nil
}

// leaveSubnet takes back what a group has of a virtual network, and the
// network's router with the last of its groups.
func (n *Network) leaveSubnet(m *member) error {
	n.networkAt.Delete(m.place.Cloud)
	m.router.pool(m.subnet.Prefix).giveBack(m.place.Private)
	return errors.Join(m.router.unroute(netip.PrefixFrom(m.place.Cloud, 32)), n.dropUnused(m.router))
}

// Refresh has every group's subnet looked up again; one that is not found
// stays as it was.
func (n *Network) Refresh(find func(id string) (Subnet, error)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var errs []error
	wider := false
	for _, m := range n.members {
		if m.subnet == nil {
			continue
		}
		next, err := find(m.subnet.ID)
		if err != nil {
			continue
		}
		m.subnet = &next
		more, err := m.router.widen(&next)
		wider, errs = wider || more, append(errs, err)
	}
	if wider {
		errs = append(errs, n.openHost())
	}
	return errors.Join(append(errs, n.enforce())...)
}

// NetworkAt returns the virtual network of the group that the cloud sees at an
// address; empty for one that is in none.
func (n *Network) NetworkAt(cloud netip.Addr) string {
	name, _ := n.networkAt.Load(cloud)
	network, _ := name.(string)
	return network
}
