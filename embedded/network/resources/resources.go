// Package resources puts networks into Azure Resource Manager: virtual
// networks and their subnets, NAT gateways and public IP addresses, private DNS
// zones. It stands apart from package network, which moves packets, because
// what a network is made of is a matter of records and rules: it needs neither
// root nor a kernel, and whoever moves packets asks it.
//
// There is as much of Microsoft.Network as container groups need. What Azure
// has beyond that is refused by name where it would change what a network does,
// and kept and shown where it would not. Differences from Azure: everything is
// done by the time of an answer, polling only confirms it; a service
// association link is there just as long as container groups are in its
// subnet; the address of a public IP address is no real one; and a private DNS
// zone holds record sets of type A alone, without the SOA of its apex.
package resources

import (
	"net/netip"
	"sync"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/store"
)

// The types of resources.
const (
	namespace   = "Microsoft.Network"
	networkType = namespace + "/virtualNetworks"
	subnetType  = networkType + "/subnets"
	gatewayType = namespace + "/natGateways"
	addressType = namespace + "/publicIPAddresses"
	zoneType    = namespace + "/privateDnsZones"
	linkType    = zoneType + "/virtualNetworkLinks"
	recordType  = zoneType + "/A"
	// groupType is what a subnet is delegated to.
	groupType = "Microsoft.ContainerInstance/containerGroups"
)

// JoinSubnet is the action that who puts a container group into a subnet must
// be allowed on the subnet.
const JoinSubnet = subnetType + "/join/action"

// Options are what a Service needs.
type Options struct {
	Store  *store.Store
	Server *arm.Server
	// Users returns the ARM ids of the container groups that are in a subnet,
	// given its ARM id in lower case. It is asked while nothing of any network
	// can change, and so must wait for nobody who waits for that: not for a
	// call of Join. Nil means that no subnet is used.
	Users func(subnet string) []string
	// Reserved are ranges that no network may use, beside those that none can
	// use anywhere: the embedded cloud's own.
	Reserved []netip.Prefix
	// Changed, unless nil, is called after a change that what Subnet says of
	// the subnets of a network, the lower-cased ARM id of a virtual network,
	// depends on. It may be called when nothing has changed, and by several
	// goroutines at once: what is true is what Subnet says by then.
	Changed func(network string)
}

// Service is the networks of a cloud. Its records are in the store; what is
// read, which for names is often, is read from memory.
type Service struct {
	options Options
	server  *arm.Server
	// writes is held by whatever changes any of the resources: they refer to
	// one another.
	writes sync.Mutex
	// changed are the networks that a change under way is to be told of.
	changed []string

	networks  tracked[network]
	gateways  tracked[gateway]
	addresses tracked[address]
	zones     tracked[zone]
	links     tracked[link]
	records   *table[recordSet]
	names     *names
}

// New makes the service of the networks in a store.
func New(options Options) (*Service, error) {
	s := &Service{options: options, server: options.Server, names: newNames()}
	if err := s.load(); err != nil {
		return nil, err
	}
	for _, z := range s.zones.within("") {
		s.rename(z.key())
	}
	s.relink()
	return s, nil
}

// load reads the records of all types.
func (s *Service) load() error {
	const global = "global"
	here := s.server.Location("")
	s.networks = tracked[network]{server: s.server, kind: networkType, location: here, valid: validNetworkName,
		of: func(n *network) *resource { return &n.resource }, show: s.showNetwork}
	s.gateways = tracked[gateway]{server: s.server, kind: gatewayType, location: here, valid: validName,
		of: func(g *gateway) *resource { return &g.resource }, show: s.showGateway}
	s.addresses = tracked[address]{server: s.server, kind: addressType, location: here, valid: validName,
		of: func(a *address) *resource { return &a.resource }, show: s.showAddress}
	s.zones = tracked[zone]{server: s.server, kind: zoneType, location: global, valid: validZoneName,
		of: func(z *zone) *resource { return &z.resource }, show: s.showZone}
	s.links = tracked[link]{server: s.server, kind: linkType, location: global, valid: validName,
		of: func(l *link) *resource { return &l.resource }, show: s.showLink}
	var err error
	for _, open := range []func(*store.Store) error{
		s.networks.open, s.gateways.open, s.addresses.open, s.zones.open, s.links.open,
		func(st *store.Store) error { s.records, err = openTable[recordSet](st, recordType); return err },
	} {
		if err := open(s.options.Store); err != nil {
			return err
		}
	}
	return nil
}

// Register adds the routes to the server, and the deletion of what a resource
// group has of them, which comes after that of its container groups.
func (s *Service) Register() {
	s.registerNetworks()
	s.registerSubnets()
	s.registerGateways()
	s.registerAddresses()
	s.registerZones()
	s.registerLinks()
	s.registerRecords()
	s.server.OnDeleteResourceGroupLast(s.deleteGroup)
}

// exclusively calls fn while nothing else changes, and tells of the networks
// that it has touched.
func (s *Service) exclusively(fn func() error) error {
	changed, err := s.serialised(fn)
	if s.options.Changed != nil {
		for _, network := range changed {
			s.options.Changed(network)
		}
	}
	return err
}

func (s *Service) serialised(fn func() error) (changed []string, err error) {
	s.writes.Lock()
	defer s.writes.Unlock()
	s.changed = nil
	err = fn()
	return s.changed, err
}

// touch notes that what a network does may have changed. The caller holds writes.
func (s *Service) touch(network string) { s.changed = append(s.changed, network) }
