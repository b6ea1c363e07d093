package embedded

import (
	"net/netip"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/groups"
	"frankenetes.dev/embedded/network"
	networks "frankenetes.dev/embedded/network/resources"
)

// openNetworks opens the networks as ARM has them. What groups are in them,
// and what follows from a change, is asked and told once there are groups.
func (d *daemon) openNetworks() error {
	var err error
	d.networks, err = networks.New(networks.Options{
		Store: d.store, Server: d.arm, Reserved: []netip.Prefix{network.PoolRange},
		Users:   func(subnet string) []string { return d.groups.InSubnet(subnet) },
		Changed: func(string) { d.refreshNetworks() },
	})
	if err == nil {
		d.networks.Register()
	}
	return err
}

// refreshNetworks has groups' networks follow what ARM has of them.
func (d *daemon) refreshNetworks() {
	if err := d.network.Refresh(subnets{d.networks}.Subnet); err != nil {
		d.options.Log.Error("networks do not follow a change", "error", err)
	}
}

// nameIn answers what the virtual network of a client has for a name.
func (d *daemon) nameIn(client netip.Addr, name string) (addresses []netip.Addr, ttl uint32, alone bool) {
	at := d.network.NetworkAt(client)
	if at == "" {
		return nil, 0, false
	}
	return d.networks.Resolve(at, name)
}

// subnets are ARM's, as groups want them.
type subnets struct{ networks *networks.Service }

var _ groups.Subnets = subnets{}

func (s subnets) Subnet(id string) (network.Subnet, error) {
	sub, err := s.networks.Subnet(id)
	if err != nil {
		return network.Subnet{}, err
	}
	return usable(sub)
}

func (s subnets) Join(id string, fn func() error) error {
	return s.networks.Join(id, func() error {
		if _, err := s.Subnet(id); err != nil { // it may have changed since it was looked at
			return err
		}
		return fn()
	})
}

// usable refuses a subnet that is not for groups.
func usable(s networks.Subnet) (network.Subnet, error) {
	if !s.Delegated {
		return network.Subnet{}, arm.BadRequest("SubnetMissingRequiredDelegation", "Subnet missing required delegation 'Microsoft.ContainerInstance': the subnet '%s' is not delegated to '%s'.", s.ID, groups.Type)
	}
	return network.Subnet{ID: s.ID, Network: s.Network, Space: s.Space, Prefix: s.Prefix, Outbound: s.Outbound}, nil
}
