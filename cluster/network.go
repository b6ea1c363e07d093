package cluster

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	"frankenetes.dev/cloud"
	"frankenetes.dev/fault"
)

// NetworkType says how a cluster's groups reach one another.
type NetworkType string

const (
	// VNet is a virtual network of the cluster's own: every group, those of
	// pods included, has a private address, and all ports are open among them.
	VNet NetworkType = "vnet"
	// Public gives every component a public address and a DNS name label, as
	// in the posts; only declared ports are open.
	Public NetworkType = "public"
)

// CheckNetwork tells whether there is such a type; empty stands for any.
func CheckNetwork(t NetworkType) error {
	if !slices.Contains([]NetworkType{"", VNet, Public}, t) {
		return fault.New(fault.Usage, "use --network vnet or --network public", "there is no network type %q", t)
	}
	return nil
}

// networkName is what a cluster's virtual network and what belongs to it are called.
const networkName = "cluster"

// networkRange holds the ranges of clusters, networkBits is the size of each:
// some four thousand pods.
var networkRange = netip.MustParsePrefix("10.64.0.0/10")

const networkBits = 20

// chooseRange returns the range of a new cluster: one that no virtual network
// has, so that the host of the local cloud, and networks that are joined on
// Azure, reach the groups of each. Where to begin comes from the cluster's id.
func chooseRange(id string, used []netip.Prefix) (netip.Prefix, error) {
	var b [4]byte
	if _, err := hex.Decode(b[1:], []byte(id)); err != nil {
		return netip.Prefix{}, fmt.Errorf("read id of cluster: %w", err)
	}
	count := uint32(1) << (networkBits - networkRange.Bits())
	for i := range count {
		r := nthRange((binary.BigEndian.Uint32(b[:]) + i) % count)
		if !slices.ContainsFunc(used, r.Overlaps) {
			return r, nil
		}
	}
	return netip.Prefix{}, fault.New(fault.Conflict, "remove virtual networks, or use --network public", "there is no free range in %s for a virtual network", networkRange)
}

func nthRange(n uint32) netip.Prefix {
	a := networkRange.Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])+n<<(32-networkBits))
	return netip.PrefixFrom(netip.AddrFrom4(a), networkBits)
}

// chooseNetwork decides how a new cluster's groups reach one another. Where no
// port is published on this machine, it has to be in a virtual network to
// reach what is in there: only who asks for that gets it.
func (o *Operator) chooseNetwork(ctx context.Context, wanted NetworkType, spec *Spec) error {
	spec.Network = wanted
	if wanted == "" && o.cloud.PublishOn != "" {
		spec.Network = VNet
	}
	if spec.Network != VNet {
		spec.Network = Public
		return nil
	}
	used, err := o.cloud.ListRanges(ctx)
	if err != nil {
		return err
	}
	r, err := chooseRange(spec.ID, used)
	spec.Range = r.String()
	return err
}

// keepsNetwork refuses to make another network for a cluster that exists: its
// groups, and all certificates, have the names of the one it has.
func (s Spec) keepsNetwork(wanted NetworkType) error {
	if wanted == "" || wanted == s.network() {
		return nil
	}
	return fault.New(fault.Conflict, "remove it with `frankenetes down "+s.Name+"`, or leave --network out",
		"cluster %s has --network %s and keeps it", s.Name, s.network())
}

// network returns the type; records of before there were two have none.
func (s Spec) network() NetworkType {
	if s.Network == "" {
		return Public
	}
	return s.Network
}

// zone is the domain of the components' names in a virtual network.
func (s Spec) zone() string { return s.Name + ".clusters.internal" }

// cloudNetwork is the cluster's virtual network as the cloud has it.
func (s Spec) cloudNetwork() (cloud.Network, error) {
	r, err := netip.ParsePrefix(s.Range)
	if err != nil {
		return cloud.Network{}, fmt.Errorf("read range of cluster %s: %w", s.Name, err)
	}
	return cloud.Network{ResourceGroup: s.Name, Name: networkName, Location: s.Location, Range: r, Zone: s.zone(),
		Tags: map[string]string{clusterTag: s.Name}}, nil
}

func (s *subject) startNetwork(ctx context.Context) (string, error) {
	n, err := s.record.Spec.cloudNetwork()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, names in %s", n.Range, n.Zone), s.cloud.PutNetwork(ctx, n)
}

// stopNetwork leaves nothing of the network that would have to be paid for.
func (s *subject) stopNetwork(ctx context.Context) (string, error) {
	n, err := s.record.Spec.cloudNetwork()
	if err != nil {
		return "", err
	}
	return "closed to the world", s.cloud.CloseNetwork(ctx, n)
}

// dropName takes away the name of a component that does not come back.
func (s *subject) dropName(ctx context.Context, component string) error {
	if s.subnet == "" {
		return nil
	}
	n, err := s.record.Spec.cloudNetwork()
	if err != nil {
		return err
	}
	return s.cloud.RemoveAddress(ctx, n, component)
}

// putName gives a component that runs in a virtual network its name, as soon
// as it has an address.
func (s *subject) putName(ctx context.Context, component string) error {
	n, err := s.record.Spec.cloudNetwork()
	if err != nil {
		return err
	}
	var address netip.Addr
	err = poll(ctx, func() (bool, error) {
		g, err := s.look(ctx, component)
		if err != nil || g.Properties.IPAddress == nil {
			return false, err
		}
		address, err = netip.ParseAddr(deref(g.Properties.IPAddress.IP))
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the address of %s: %w", component, err)
	}
	return s.cloud.PutAddress(ctx, n, component, address)
}
