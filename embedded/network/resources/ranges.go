package resources

import (
	"net/netip"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// The longest and the shortest prefix of a network or subnet: Azure keeps the
// first four addresses and the last one of each subnet for itself.
const longest, shortest = 29, 8

// unusable are the ranges that no network on Azure can have, because they mean
// something everywhere.
func unusable() []netip.Prefix {
	var list []netip.Prefix
	for _, text := range []string{"0.0.0.0/8", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32"} {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// parsePrefix reads an IPv4 prefix of a resource.
func parsePrefix(text, of string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, arm.BadRequest("InvalidAddressPrefixFormat",
			"Address prefix %s of resource %s is not formatted correctly. It should follow CIDR notation, for example 10.0.0.0/24.", text, of)
	case !p.Addr().Is4():
		return p, notSupported("the IPv6 address prefix '"+text+"'", of)
	case p != p.Masked():
		return p, arm.BadRequest("InvalidCIDRNotation", "The address prefix %s in resource %s has an invalid CIDR notation. "+
			"For the given prefix length, the address prefix should be %s.", text, of, p.Masked())
	}
	return p, nil
}

// checkRanges returns what is wrong with the address space of a network and
// the ranges of its subnets. Other networks do not matter: they never meet.
func (s *Service) checkRanges(n network) error {
	if len(n.Space) == 0 {
		return arm.BadRequest("NoAddressPrefixOrPoolProvided", "No address prefix or pool has been provided for the resource %s.", n.ID)
	}
	for i, prefix := range n.Space {
		if err := s.checkSpace(n.Space[:i], prefix, n.ID); err != nil {
			return err
		}
	}
	for i, sub := range n.Subnets {
		if err := checkSubnet(n, n.Subnets[:i], sub); err != nil {
			return err
		}
	}
	return nil
}

// checkSpace checks one prefix of an address space, given those before it.
func (s *Service) checkSpace(before []netip.Prefix, prefix netip.Prefix, of string) error {
	const code = "NetcfgInvalidIPAddressPrefix"
	if prefix.Bits() < shortest || prefix.Bits() > longest {
		return arm.BadRequest(code, "The address prefix %s in resource %s is invalid: its length must be between /%d and /%d.", prefix, of, shortest, longest)
	}
	for _, reserved := range append(unusable(), s.options.Reserved...) {
		if prefix.Overlaps(reserved) {
			return arm.BadRequest(code, "The address prefix %s in resource %s is invalid: it overlaps with the reserved range %s.", prefix, of, reserved)
		}
	}
	for _, other := range before {
		if prefix.Overlaps(other) {
			return arm.BadRequest(code, "The address prefixes %s and %s in resource %s overlap.", other, prefix, of)
		}
	}
	return nil
}

// checkSubnet checks one subnet of a network, given those before it.
func checkSubnet(n network, before []subnet, sub subnet) error {
	if err := validName(sub.Name); err != nil {
		return err
	}
	if sub.Prefix.Bits() > longest {
		return arm.BadRequest("NetcfgInvalidSubnet", "Subnet '%s' is not valid in virtual network '%s': the smallest is a /%d.", sub.Name, n.Name, longest)
	}
	inside := false
	for _, prefix := range n.Space {
		inside = inside || prefix.Bits() <= sub.Prefix.Bits() && prefix.Contains(sub.Prefix.Addr())
	}
	if !inside {
		return arm.BadRequest("NetcfgSubnetRangeOutsideVnet",
			"Subnet '%s' is not valid because its IP address range is outside the IP address range of virtual network '%s'.", sub.Name, n.Name)
	}
	for _, other := range before {
		switch {
		case strings.EqualFold(other.Name, sub.Name):
			return arm.BadRequest("DuplicateResourceName", "Resource %s has two child resources with the same name (%s).", n.ID, sub.Name)
		case other.Prefix.Overlaps(sub.Prefix):
			return arm.BadRequest("NetcfgSubnetRangesOverlap", "Subnet '%s' is not valid because its IP address range overlaps with that of an existing "+
				"subnet in virtual network '%s'.", sub.Name, n.Name)
		}
	}
	return nil
}
