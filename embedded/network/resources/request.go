package resources

import (
	"encoding/json"
	"net/netip"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// networkRequest is the body of a PUT of a virtual network.
type networkRequest struct {
	common
	ExtendedLocation json.RawMessage `json:"extendedLocation"`
	Properties       struct {
		AddressSpace struct {
			AddressPrefixes []string        `json:"addressPrefixes"`
			Pools           json.RawMessage `json:"ipamPoolPrefixAllocations"`
		} `json:"addressSpace"`
		DHCPOptions struct {
			DNSServers []string `json:"dnsServers"`
		} `json:"dhcpOptions"`
		// Subnets are nil where the request says nothing of them.
		Subnets                 *[]subnetRequest `json:"subnets"`
		FlowTimeoutInMinutes    *int             `json:"flowTimeoutInMinutes"`
		EnableVMProtection      bool             `json:"enableVmProtection"`
		PrivateEndpointPolicies string           `json:"privateEndpointVNetPolicies"`

		Peerings       json.RawMessage `json:"virtualNetworkPeerings"`
		DDoSProtection json.RawMessage `json:"enableDdosProtection"`
		DDoSPlan       json.RawMessage `json:"ddosProtectionPlan"`
		BGPCommunities json.RawMessage `json:"bgpCommunities"`
		IPAllocations  json.RawMessage `json:"ipAllocations"`
		Encryption     struct {
			Enabled json.RawMessage `json:"enabled"`
		} `json:"encryption"`
	} `json:"properties"`
}

// refuse refuses what a virtual network here cannot do.
func (q *networkRequest) refuse(id string) error {
	p := &q.Properties
	return refuse(id,
		sent{"extendedLocation", q.ExtendedLocation},
		sent{"properties.addressSpace.ipamPoolPrefixAllocations", p.AddressSpace.Pools},
		sent{"properties.virtualNetworkPeerings", p.Peerings},
		sent{"properties.enableDdosProtection", p.DDoSProtection},
		sent{"properties.ddosProtectionPlan", p.DDoSPlan},
		sent{"properties.bgpCommunities", p.BGPCommunities},
		sent{"properties.ipAllocations", p.IPAllocations},
		sent{"properties.encryption.enabled", p.Encryption.Enabled},
	)
}

// apply puts what the request says, but for the subnets, into a network.
func (q *networkRequest) apply(n *network) error {
	p := &q.Properties
	if err := q.refuse(n.ID); err != nil {
		return err
	}
	n.Space = nil
	for _, text := range p.AddressSpace.AddressPrefixes {
		prefix, err := parsePrefix(text, n.ID)
		if err != nil {
			return err
		}
		n.Space = append(n.Space, prefix)
	}
	for _, server := range p.DHCPOptions.DNSServers {
		if _, err := netip.ParseAddr(server); err != nil {
			return arm.BadRequest("InvalidIPAddress", "The DNS server '%s' of resource %s is no IP address.", server, n.ID)
		}
	}
	n.DNSServers = p.DHCPOptions.DNSServers
	n.FlowTimeout, n.VMProtection, n.PrivateEndpointPolicies = p.FlowTimeoutInMinutes, p.EnableVMProtection, p.PrivateEndpointPolicies
	return nil
}

// subnetRequest is the body of a PUT of a subnet, or a subnet in one of a network.
type subnetRequest struct {
	Name       string `json:"name"`
	Properties struct {
		AddressPrefix   string   `json:"addressPrefix"`
		AddressPrefixes []string `json:"addressPrefixes"`
		Delegations     []struct {
			Name       string `json:"name"`
			Properties struct {
				ServiceName string `json:"serviceName"`
			} `json:"properties"`
		} `json:"delegations"`
		NATGateway              *reference `json:"natGateway"`
		PrivateEndpointPolicies string     `json:"privateEndpointNetworkPolicies"`
		PrivateLinkPolicies     string     `json:"privateLinkServiceNetworkPolicies"`
		DefaultOutboundAccess   *bool      `json:"defaultOutboundAccess"`

		SecurityGroup       json.RawMessage `json:"networkSecurityGroup"`
		RouteTable          json.RawMessage `json:"routeTable"`
		Endpoints           json.RawMessage `json:"serviceEndpoints"`
		EndpointPolicies    json.RawMessage `json:"serviceEndpointPolicies"`
		IPAllocations       json.RawMessage `json:"ipAllocations"`
		ApplicationGateways json.RawMessage `json:"applicationGatewayIPConfigurations"`
		SharingScope        json.RawMessage `json:"sharingScope"`
		Pools               json.RawMessage `json:"ipamPoolPrefixAllocations"`
	} `json:"properties"`
}

func (q *subnetRequest) refuse(id string) error {
	p := &q.Properties
	return refuse(id,
		sent{"properties.networkSecurityGroup", p.SecurityGroup},
		sent{"properties.routeTable", p.RouteTable},
		sent{"properties.serviceEndpoints", p.Endpoints},
		sent{"properties.serviceEndpointPolicies", p.EndpointPolicies},
		sent{"properties.ipAllocations", p.IPAllocations},
		sent{"properties.applicationGatewayIPConfigurations", p.ApplicationGateways},
		sent{"properties.sharingScope", p.SharingScope},
		sent{"properties.ipamPoolPrefixAllocations", p.Pools},
	)
}

// subnet returns the subnet that a request describes. One that says nothing of
// the prefix leaves what the subnet, if it was there before, has. The NAT
// gateway is for the caller to look up.
func (q *subnetRequest) subnet(id string, before *subnet) (subnet, error) {
	p := &q.Properties
	if err := q.refuse(id); err != nil {
		return subnet{}, err
	}
	sub := subnet{Name: q.Name, Plural: len(p.AddressPrefixes) > 0, PrivateEndpointPolicies: p.PrivateEndpointPolicies,
		PrivateLinkPolicies: p.PrivateLinkPolicies, DefaultOutbound: p.DefaultOutboundAccess}
	var err error
	if sub.Delegations, err = q.delegations(id); err != nil {
		return subnet{}, err
	}
	if before != nil {
		sub.Name = before.Name
	}
	text, err := q.prefix(id)
	switch {
	case err != nil:
		return subnet{}, err
	case text == "" && before != nil:
		sub.Prefix, sub.Plural = before.Prefix, before.Plural
		return sub, nil
	case text == "":
		return subnet{}, arm.BadRequest("NoAddressPrefixOrPoolProvided", "No address prefix or pool has been provided for the resource %s.", id)
	}
	sub.Prefix, err = parsePrefix(text, id)
	return sub, err
}

// prefix returns the one prefix that a request has, empty if it has none.
func (q *subnetRequest) prefix(id string) (string, error) {
	p := &q.Properties
	one, many := p.AddressPrefix, p.AddressPrefixes
	switch {
	case len(many) > 1:
		return "", notSupported("more than one prefix (properties.addressPrefixes)", id)
	case len(many) == 1 && one != "" && one != many[0]:
		return "", arm.BadRequest("InvalidRequestFormat", "The properties addressPrefix '%s' and addressPrefixes '%s' of resource %s differ.", one, many[0], id)
	case len(many) == 1:
		return many[0], nil
	}
	return one, nil
}

// delegations returns what a request delegates the subnet to.
func (q *subnetRequest) delegations(id string) ([]delegation, error) {
	var list []delegation
	for _, d := range q.Properties.Delegations {
		service := d.Properties.ServiceName
		switch {
		case d.Name == "":
			return nil, arm.BadRequest("InvalidRequestFormat", "A delegation of subnet %s has no name.", id)
		case service == "":
			return nil, arm.BadRequest("ServiceNameOnDelegationNotSpecified", "The delegation %s of subnet %s has no service name.", d.Name, id)
		case !strings.EqualFold(service, groupType):
			return nil, arm.BadRequest("InvalidServiceNameOnDelegation", "The service name %s of the delegation %s of subnet %s is invalid. The only one is %s.",
				service, d.Name, id, groupType)
		}
		list = append(list, delegation{d.Name})
	}
	if len(list) > 1 {
		return nil, notSupported("more than one delegation (properties.delegations)", id)
	}
	return list, nil
}
