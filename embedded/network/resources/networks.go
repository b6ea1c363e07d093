package resources

import (
	"net/http"
	"strings"

	"frankenetes.dev/embedded/arm"
)

func (s *Service) registerNetworks() {
	one := s.networks.registerTop(s)
	s.server.Handle(http.MethodPut, one, networkType+"/write", s.writer(s.putNetwork))
	s.server.Handle(http.MethodDelete, one, networkType+"/delete", s.writer(s.deleteNetwork))
}

func (s *Service) putNetwork(r *arm.Request) (*arm.Response, error) {
	var request networkRequest
	if err := r.Decode(&request); err != nil {
		return nil, err
	}
	id := newID(r, networkType, r.Var("name"))
	n, existed, err := s.networks.begin(r, id, r.Var("name"), request.common)
	if err != nil {
		return nil, err
	}
	before := n
	if err := request.apply(&n); err != nil {
		return nil, err
	}
	// A request that says nothing of subnets leaves them as they are.
	if request.Properties.Subnets != nil {
		if n.Subnets, err = s.subnetsOf(r, before, *request.Properties.Subnets); err != nil {
			return nil, err
		}
	}
	if err := s.checkNetwork(before, n); err != nil {
		return nil, err
	}
	s.touch(n.key())
	response, err := s.networks.finish(r, n, existed)
	if err == nil {
		s.dropRoles(before, n)
	}
	return response, err
}

// dropRoles forgets the role assignments at subnets that a PUT of their network
// has removed.
func (s *Service) dropRoles(before, after network) {
	for _, sub := range before.Subnets {
		if after.subnet(sub.Name) == nil {
			s.server.DropRoles(before.subnetID(sub.Name))
		}
	}
}

// subnetsOf returns the subnets that the PUT of a network describes.
func (s *Service) subnetsOf(r *arm.Request, n network, requests []subnetRequest) ([]subnet, error) {
	var subnets []subnet
	for _, request := range requests {
		sub, err := s.subnetOf(r, n, request)
		if err != nil {
			return nil, err
		}
		subnets = append(subnets, sub)
	}
	return subnets, nil
}

// subnetOf returns the subnet of a network that a request describes.
func (s *Service) subnetOf(r *arm.Request, n network, request subnetRequest) (subnet, error) {
	if err := validName(request.Name); err != nil {
		return subnet{}, err
	}
	id := n.subnetID(request.Name)
	sub, err := request.subnet(id, n.subnet(request.Name))
	if err != nil || request.Properties.NATGateway == nil {
		return sub, err
	}
	sub.Gateway, err = s.attach(r, n, id, request.Properties.NATGateway.ID)
	return sub, err
}

// attach returns the ARM id of the NAT gateway that a subnet of a network
// names, if the subnet may have it.
func (s *Service) attach(r *arm.Request, n network, subnetID, gatewayID string) (string, error) {
	if err := s.mayJoin(r, subnetType+"/write", gatewayType, gatewayID); err != nil {
		return "", err
	}
	g, ok := s.gateways.get(gatewayID)
	if !ok {
		return "", lost(gatewayID, subnetID)
	}
	for _, user := range s.behind(g) {
		if !strings.HasPrefix(strings.ToLower(user), n.key()+"/") {
			return "", arm.BadRequest("NatGatewayCannotBeUsedBySubnetsBelongingToDifferentVirtualNetworks",
				"NAT gateway %s cannot be used by subnet %s: it is used by subnet %s of another virtual network.", g.ID, subnetID, user)
		}
	}
	return g.ID, nil
}

// checkNetwork checks the change of a network.
func (s *Service) checkNetwork(before, after network) error {
	if err := s.checkRanges(after); err != nil {
		return err
	}
	return s.checkUse(before, after)
}

func (s *Service) deleteNetwork(r *arm.Request) (*arm.Response, error) {
	n, existed := s.networks.get(r.Path())
	if err := condition(r, n.Etag, existed); err != nil {
		return nil, err
	}
	if !existed {
		return deleted(false), nil
	}
	if err := s.checkUse(n, network{}); err != nil {
		return nil, err
	}
	return deleted(true), s.dropNetwork(n)
}

// dropNetwork removes a network, and the links of private DNS zones to it.
func (s *Service) dropNetwork(n network) error {
	for _, l := range s.links.within("") {
		if strings.EqualFold(l.Network, n.ID) {
			if err := s.links.delete(l.ID); err != nil {
				return err
			}
			s.server.DropRoles(l.ID)
		}
	}
	s.relink()
	return s.networks.delete(n.ID)
}
