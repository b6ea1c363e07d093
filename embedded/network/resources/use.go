package resources

import (
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// Subnet is what there is to know of a subnet to put a container group into it.
type Subnet struct {
	// ID is the ARM id, in the case in which the subnet was created.
	ID string
	// Network is the ARM id of the virtual network, in lower case.
	Network string
	// Space is the address space of the network, Prefix the subnet's part of
	// it, of which Azure uses neither the first four addresses nor the last.
	Space  []netip.Prefix
	Prefix netip.Prefix
	// Outbound says whether there is a way out to the internet: a NAT gateway
	// that has a public IP address.
	Outbound bool
	// Delegated says whether the subnet is delegated to container groups.
	Delegated bool
}

var subnetPath = regexp.MustCompile(`(?i)^(/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Network/virtualNetworks/[^/]+)/subnets/([^/]+)$`)

// Subnet returns the subnet with an ARM id, in any case, or the *arm.Error that
// says why there is none: 400 for what is no id of a subnet, or else 404.
func (s *Service) Subnet(id string) (Subnet, error) {
	parts := subnetPath.FindStringSubmatch(id)
	if parts == nil {
		return Subnet{}, arm.BadRequest("LinkedInvalidPropertyId", "The id '%s' is no ARM id of a subnet.", id)
	}
	n, _ := s.networks.get(parts[1])
	sub := n.subnet(parts[2])
	if sub == nil {
		return Subnet{}, &arm.Error{Status: http.StatusNotFound, Code: "ResourceNotFound", Message: "The subnet '" + id + "' was not found."}
	}
	return Subnet{
		ID: n.subnetID(sub.Name), Network: n.key(), Space: slices.Clone(n.Space), Prefix: sub.Prefix,
		Outbound: s.outbound(*sub), Delegated: sub.delegated(),
	}, nil
}

// Join calls fn while nothing of any network can change, unless there is no
// such subnet: then it returns the error of Subnet. What Options.Users tells of
// when fn returns keeps the subnet as it is from then on; without it, a subnet
// could go between the look at it and its use. All that fn may do with the
// Service is to read.
func (s *Service) Join(id string, fn func() error) error {
	s.writes.Lock()
	defer s.writes.Unlock()
	if _, err := s.Subnet(id); err != nil {
		return err
	}
	return fn()
}

// users returns the container groups in a subnet.
func (s *Service) users(subnetID string) []string {
	if s.options.Users == nil {
		return nil
	}
	return s.options.Users(strings.ToLower(subnetID))
}

// checkUse returns what forbids the change of a network: container groups need
// their subnet as it is.
func (s *Service) checkUse(before, after network) error {
	for _, old := range before.Subnets {
		users := s.users(before.subnetID(old.Name))
		if len(users) == 0 {
			continue
		}
		sub := after.subnet(old.Name)
		switch {
		case sub == nil:
			return inUse(before, old, users)
		case sub.Prefix != old.Prefix:
			return arm.BadRequest("InUsePrefixCannotBeDeleted", "IpPrefix %s on Subnet %s has active allocations and cannot be deleted.", old.Prefix, old.Name)
		case old.delegated() && !sub.delegated():
			id := before.subnetID(old.Name)
			return arm.BadRequest("SubnetMissingRequiredDelegation",
				"Subnet %s requires any of the following delegation(s) [%s] to reference service association link %s.", id, groupType, associationID(id))
		}
	}
	return nil
}

// inUse refuses the deletion of a subnet.
func inUse(n network, sub subnet, users []string) *arm.Error {
	return arm.BadRequest("InUseSubnetCannotBeDeleted", "Subnet %s is in use by %s and cannot be deleted. In order to delete the subnet, delete all the "+
		"resources within the subnet, of which there are %d. See aka.ms/deletesubnet.", n.subnetID(sub.Name), users[0], len(users))
}
