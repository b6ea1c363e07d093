package resources

import (
	"net/netip"
	"slices"
	"strings"
)

// network is the record of a virtual network with its subnets.
type network struct {
	resource
	Space      []netip.Prefix `json:"space"`
	DNSServers []string       `json:"dnsServers,omitempty"`
	Subnets    []subnet       `json:"subnets,omitempty"`
	// What follows is kept to be shown.
	VMProtection            bool   `json:"vmProtection,omitempty"`
	FlowTimeout             *int   `json:"flowTimeout,omitempty"`
	PrivateEndpointPolicies string `json:"privateEndpointPolicies,omitempty"`
}

// subnet is a subnet in the record of its network.
type subnet struct {
	Name   string       `json:"name"`
	Prefix netip.Prefix `json:"prefix"`
	// Plural says that the prefix came as addressPrefixes.
	Plural      bool         `json:"plural,omitempty"`
	Delegations []delegation `json:"delegations,omitempty"`
	// Gateway is the ARM id of a NAT gateway, if there is one.
	Gateway string `json:"gateway,omitempty"`
	// What follows is kept to be shown.
	PrivateEndpointPolicies string `json:"privateEndpointPolicies,omitempty"`
	PrivateLinkPolicies     string `json:"privateLinkPolicies,omitempty"`
	DefaultOutbound         *bool  `json:"defaultOutbound,omitempty"`
}

// delegation gives a subnet to a service, the only one that there is.
type delegation struct {
	Name string `json:"name"`
}

// delegated says whether container groups may be in the subnet.
func (n subnet) delegated() bool { return len(n.Delegations) > 0 }

// subnet returns a subnet by its name, in any case, or nil.
func (n *network) subnet(name string) *subnet {
	i := slices.IndexFunc(n.Subnets, func(sub subnet) bool { return strings.EqualFold(sub.Name, name) })
	if i < 0 {
		return nil
	}
	return &n.Subnets[i]
}

// with returns the network with a subnet added, or replaced.
func (n network) with(sub subnet) network {
	n.Subnets = slices.Clone(n.Subnets)
	if old := n.subnet(sub.Name); old != nil {
		*old = sub
	} else {
		n.Subnets = append(n.Subnets, sub)
	}
	return n
}

// without returns the network without a subnet.
func (n network) without(name string) network {
	n.Subnets = slices.DeleteFunc(slices.Clone(n.Subnets), func(sub subnet) bool { return strings.EqualFold(sub.Name, name) })
	return n
}

// subnetID returns the ARM id of a subnet of the network.
func (n network) subnetID(name string) string { return n.ID + "/subnets/" + name }

// networkProperties are the properties of a virtual network as ARM shows them.
type networkProperties struct {
	ProvisioningState       string       `json:"provisioningState"`
	ResourceGUID            string       `json:"resourceGuid"`
	AddressSpace            addressSpace `json:"addressSpace"`
	DHCPOptions             *dhcpOptions `json:"dhcpOptions,omitempty"`
	FlowTimeoutInMinutes    *int         `json:"flowTimeoutInMinutes,omitempty"`
	Subnets                 []body       `json:"subnets"`
	VirtualNetworkPeerings  []reference  `json:"virtualNetworkPeerings"`
	EnableDDoSProtection    bool         `json:"enableDdosProtection"`
	EnableVMProtection      bool         `json:"enableVmProtection,omitempty"`
	PrivateEndpointPolicies string       `json:"privateEndpointVNetPolicies,omitempty"`
}

type addressSpace struct {
	AddressPrefixes []string `json:"addressPrefixes"`
}

type dhcpOptions struct {
	DNSServers []string `json:"dnsServers"`
}

func (s *Service) showNetwork(n network, state string) body {
	p := networkProperties{
		ProvisioningState: state, ResourceGUID: n.GUID, FlowTimeoutInMinutes: n.FlowTimeout, EnableVMProtection: n.VMProtection,
		PrivateEndpointPolicies: n.PrivateEndpointPolicies, Subnets: []body{}, VirtualNetworkPeerings: []reference{},
	}
	for _, prefix := range n.Space {
		p.AddressSpace.AddressPrefixes = append(p.AddressSpace.AddressPrefixes, prefix.String())
	}
	if len(n.DNSServers) > 0 {
		p.DHCPOptions = &dhcpOptions{n.DNSServers}
	}
	for _, sub := range n.Subnets {
		p.Subnets = append(p.Subnets, s.showSubnet(n, sub, state))
	}
	return n.body(networkType, weak(n.Etag), p)
}

// subnetProperties are the properties of a subnet as ARM shows them.
type subnetProperties struct {
	ProvisioningState       string     `json:"provisioningState"`
	AddressPrefix           string     `json:"addressPrefix"`
	AddressPrefixes         []string   `json:"addressPrefixes,omitempty"`
	Delegations             []child    `json:"delegations"`
	NATGateway              *reference `json:"natGateway,omitempty"`
	ServiceAssociationLinks []child    `json:"serviceAssociationLinks,omitempty"`
	PrivateEndpointPolicies string     `json:"privateEndpointNetworkPolicies"`
	PrivateLinkPolicies     string     `json:"privateLinkServiceNetworkPolicies"`
	DefaultOutboundAccess   *bool      `json:"defaultOutboundAccess,omitempty"`
}

// child is a part of a subnet that has an id.
type child struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Etag       string `json:"etag"`
	Properties any    `json:"properties"`
}

type delegationProperties struct {
	ProvisioningState string   `json:"provisioningState"`
	ServiceName       string   `json:"serviceName"`
	Actions           []string `json:"actions"`
}

type associationProperties struct {
	ProvisioningState  string   `json:"provisioningState"`
	LinkedResourceType string   `json:"linkedResourceType"`
	AllowDelete        bool     `json:"allowDelete"`
	Locations          []string `json:"locations"`
}

// showSubnet returns what ARM shows of a subnet. The groups in it are not
// listed, only that there are some: clients take whatever is listed as using
// the subnet for something that keeps container groups out of it.
func (s *Service) showSubnet(n network, sub subnet, state string) body {
	id, etag := n.subnetID(sub.Name), weak(n.Etag)
	p := subnetProperties{
		ProvisioningState: state, AddressPrefix: sub.Prefix.String(), Delegations: []child{},
		PrivateEndpointPolicies: orDefault(sub.PrivateEndpointPolicies, "Disabled"),
		PrivateLinkPolicies:     orDefault(sub.PrivateLinkPolicies, "Enabled"), DefaultOutboundAccess: sub.DefaultOutbound,
	}
	if sub.Plural {
		p.AddressPrefixes = []string{sub.Prefix.String()}
	}
	for _, d := range sub.Delegations {
		p.Delegations = append(p.Delegations, child{id + "/delegations/" + d.Name, d.Name, subnetType + "/delegations", etag,
			delegationProperties{succeeded, groupType, []string{subnetType + "/action"}}})
	}
	if sub.Gateway != "" {
		p.NATGateway = &reference{sub.Gateway}
	}
	if len(s.users(id)) > 0 {
		p.ServiceAssociationLinks = []child{{associationID(id), association, subnetType + "/serviceAssociationLinks", etag,
			associationProperties{succeeded, groupType, false, []string{}}}}
	}
	return body{ID: id, Name: sub.Name, Type: subnetType, Etag: etag, Properties: p}
}

// association is the name of the service association link of container groups.
const association = "acisal"

func associationID(subnetID string) string {
	return subnetID + "/serviceAssociationLinks/" + association
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
