package groups

import (
	"fmt"
	"net/http"
	"strings"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/network"
)

// Subnets finds the subnets that groups can be put in.
type Subnets interface {
	// Subnet returns the one with an ARM id, or an *arm.Error that says why
	// no group can be in it.
	Subnet(id string) (network.Subnet, error)
	// Join calls fn while no subnet can change: what InSubnet tells of when fn
	// returns keeps the subnet as it is from then on. fn may only read subnets.
	Join(id string, fn func() error) error
}

// joinSubnet is what one must be allowed to do with a subnet to put a group
// in it, wherever the group itself is.
const joinSubnet = "Microsoft.Network/virtualNetworks/subnets/join/action"

// resolveSubnet finds the subnet of a group that is about to be made. A group
// in one always has a private address, asked for or not.
func (s *Service) resolveSubnet(r *arm.Request, spec *Group) error {
	id := spec.subnetID()
	if id == "" {
		return nil
	}
	if !s.arm.Allowed(r.Principal, joinSubnet, id) {
		return &arm.Error{Status: http.StatusForbidden, Code: "LinkedAuthorizationFailed",
			Message: fmt.Sprintf("The client has permission to perform action 'Microsoft.ContainerInstance/containerGroups/write' on the container group '%s', "+
				"but not '%s' on the linked subnet '%s'.", spec.Name, joinSubnet, id)}
	}
	subnet, err := s.options.Subnets.Subnet(id)
	if err != nil {
		return err
	}
	spec.Properties.SubnetIDs[0].ID = subnet.ID
	if spec.Properties.IPAddress == nil {
		spec.Properties.IPAddress = &IPAddress{Type: private, Ports: []Port{}}
	}
	return nil
}

// joining calls fn, which makes a group be in its subnet, while that cannot
// go. The caller holds no group's mutex.
func (s *Service) joining(spec *Group, fn func() error) error {
	id := spec.subnetID()
	if id == "" {
		return fn()
	}
	return s.options.Subnets.Join(id, fn)
}

// subnetID returns the ARM id of the group's subnet, empty for one in none.
func (g *Group) subnetID() string {
	if len(g.Properties.SubnetIDs) == 0 {
		return ""
	}
	return g.Properties.SubnetIDs[0].ID
}

// InSubnet returns the ARM ids of the groups that are in a subnet, whether
// they run or not.
func (s *Service) InSubnet(id string) []string {
	var ids []string
	for _, g := range s.list("") {
		if spec := g.definition(); strings.EqualFold(spec.subnetID(), id) {
			ids = append(ids, spec.ID)
		}
	}
	return ids
}
