package resources

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/arm"
)

func (s *Service) registerSubnets() {
	const all = "/subscriptions/{sub}/resourceGroups/{rg}/providers/" + networkType + "/{network}/subnets"
	const one = all + "/{name}"
	h := s.server.Handle
	h(http.MethodPut, one, subnetType+"/write", s.writer(s.putSubnet))
	h(http.MethodGet, one, subnetType+"/read", s.getSubnet)
	h(http.MethodDelete, one, subnetType+"/delete", s.writer(s.deleteSubnet))
	h(http.MethodGet, all, subnetType+"/read", s.listSubnets)
	const association = "Microsoft.ContainerInstance/serviceAssociationLinks"
	h(http.MethodDelete, one+"/providers/"+association+"/default", association+"/delete", s.writer(s.deleteAssociation))
}

// networkOf returns the network of the subnets that a request is about.
func (s *Service) networkOf(r *arm.Request) (network, bool) {
	return s.networks.get(newID(r, networkType, r.Var("network")))
}

func (s *Service) putSubnet(r *arm.Request) (*arm.Response, error) {
	var request subnetRequest
	if err := r.Decode(&request); err != nil {
		return nil, err
	}
	request.Name = r.Var("name")
	before, ok := s.networkOf(r)
	if !ok {
		return nil, &arm.Error{Status: http.StatusNotFound, Code: "ParentResourceNotFound",
			Message: "Can not perform requested operation on nested resource. Parent resource '" + r.Var("network") + "' not found."}
	}
	existed := before.subnet(request.Name) != nil
	if err := condition(r, before.Etag, existed); err != nil {
		return nil, err
	}
	sub, err := s.subnetOf(r, before, request)
	if err != nil {
		return nil, err
	}
	after := before.with(sub)
	if err := s.checkNetwork(before, after); err != nil {
		return nil, err
	}
	if err := s.saveSubnets(&after); err != nil {
		return nil, err
	}
	return made(s.server, r, existed, s.showSubnet(after, sub, updating)), nil
}

// saveSubnets stores a network whose subnets have changed.
func (s *Service) saveSubnets(n *network) error {
	n.Etag = uuid.NewString()
	s.touch(n.key())
	return s.networks.put(n.ID, *n)
}

func (s *Service) getSubnet(_ context.Context, r *arm.Request) (*arm.Response, error) {
	n, _ := s.networkOf(r)
	sub := n.subnet(r.Var("name"))
	if sub == nil {
		return nil, arm.NotFound(subnetType, r.Var("network")+"/"+r.Var("name"), r.Var("rg"))
	}
	return &arm.Response{Status: http.StatusOK, Body: s.showSubnet(n, *sub, succeeded)}, nil
}

func (s *Service) listSubnets(_ context.Context, r *arm.Request) (*arm.Response, error) {
	n, ok := s.networkOf(r)
	if !ok {
		return nil, arm.NotFound(networkType, r.Var("network"), r.Var("rg"))
	}
	var bodies []body
	for _, sub := range n.Subnets {
		bodies = append(bodies, s.showSubnet(n, sub, succeeded))
	}
	return page(r, bodies)
}

func (s *Service) deleteSubnet(r *arm.Request) (*arm.Response, error) {
	before, _ := s.networkOf(r)
	existed := before.subnet(r.Var("name")) != nil
	if err := condition(r, before.Etag, existed); err != nil {
		return nil, err
	}
	if !existed {
		return deleted(false), nil
	}
	after := before.without(r.Var("name"))
	if err := s.checkUse(before, after); err != nil {
		return nil, err
	}
	return deleted(true), s.saveSubnets(&after)
}

// deleteAssociation confirms that no container group is in a subnet any more:
// the link goes with the last of them.
func (s *Service) deleteAssociation(r *arm.Request) (*arm.Response, error) {
	n, _ := s.networkOf(r)
	sub := n.subnet(r.Var("name"))
	if sub == nil {
		return deleted(false), nil
	}
	id := n.subnetID(sub.Name)
	if users := s.users(id); len(users) > 0 {
		return nil, arm.Conflict("SubnetInUse", "The subnet '%s' is still in use. Please delete all container groups in the subnet and try again. "+
			"One sample container group in use is '%s'.", strings.ToLower(id), users[0])
	}
	return deleted(sub.delegated()), nil
}
