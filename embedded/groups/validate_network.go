package groups

import (
	"net/netip"
	"regexp"
)

// subnetID is the ARM id of a subnet.
var subnetID = regexp.MustCompile(`(?i)^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Network/virtualNetworks/[^/]+/subnets/[^/]+$`)

// checkNetwork wants what goes with a subnet to be there with one and not
// without. Whether there is such a subnet is not asked here.
func (v *validator) checkNetwork() error {
	p := &v.group.Properties
	inside := len(p.SubnetIDs) > 0
	switch {
	case len(p.SubnetIDs) > 1:
		return invalid("TooManySubnets", "The container group '%s' has %d subnets. At most 1 is allowed.", v.group.Name, len(p.SubnetIDs))
	case inside && !subnetID.MatchString(p.SubnetIDs[0].ID):
		return invalid("InvalidSubnetId", "The subnet id '%s' of container group '%s' is invalid.", p.SubnetIDs[0].ID, v.group.Name)
	case inside && p.IPAddress != nil && p.IPAddress.Type == public:
		return invalid("PublicIpAddressNotSupportedInVirtualNetwork", "The container group '%s' is in a virtual network. Its 'ipAddress' must have the type 'Private'.", v.group.Name)
	case inside && p.IPAddress != nil && p.IPAddress.DNSNameLabel != "":
		return invalid("DnsNameLabelNotSupportedInVirtualNetwork", "The container group '%s' is in a virtual network and cannot have a DNS name label.", v.group.Name)
	case !inside && p.IPAddress != nil && p.IPAddress.Type == private:
		return invalid("PrivateIpAddressNeedsSubnet", "The 'ipAddress' of container group '%s' has the type 'Private', for which 'subnetIds' are needed.", v.group.Name)
	}
	return v.checkDNS(inside)
}

func (v *validator) checkDNS(inside bool) error {
	c := v.group.Properties.DNSConfig
	switch {
	case c == nil:
		return nil
	case !inside:
		return invalid("DnsConfigNeedsSubnet", "The container group '%s' has a 'dnsConfig', for which 'subnetIds' are needed.", v.group.Name)
	case len(c.NameServers) == 0:
		return invalid("InvalidDnsConfig", "The 'dnsConfig' of container group '%s' has no name servers.", v.group.Name)
	}
	for _, server := range c.NameServers {
		if _, err := netip.ParseAddr(server); err != nil {
			return invalid("InvalidDnsConfig", "The name server '%s' in the 'dnsConfig' of container group '%s' is not an IP address.", server, v.group.Name)
		}
	}
	return nil
}
