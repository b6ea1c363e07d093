package resources

import (
	"context"
	"net/http"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// link is the record of a virtual network's link to a private DNS zone.
type link struct {
	resource
	// Zone is the name of the zone, Network the ARM id of the virtual network.
	Zone    string `json:"zone"`
	Network string `json:"network"`
	// Registration is of the names of virtual machines, and there are none:
	// container groups never register, on Azure neither.
	Registration bool `json:"registration,omitempty"`
}

// zoneKey is the ARM id of the link's zone, in lower case.
func (l link) zoneKey() string {
	return strings.TrimSuffix(l.key(), "/virtualnetworklinks/"+strings.ToLower(l.Name))
}

type linkProperties struct {
	ProvisioningState       string    `json:"provisioningState"`
	VirtualNetwork          reference `json:"virtualNetwork"`
	RegistrationEnabled     bool      `json:"registrationEnabled"`
	VirtualNetworkLinkState string    `json:"virtualNetworkLinkState"`
}

func (s *Service) showLink(l link, _ string) body {
	return l.body(linkType, l.Etag, linkProperties{succeeded, reference{l.Network}, l.Registration, "Completed"})
}

func (s *Service) registerLinks() {
	const all = "/subscriptions/{sub}/resourceGroups/{rg}/providers/" + zoneType + "/{zone}/virtualNetworkLinks"
	const one = all + "/{name}"
	s.links.register(s, one)
	s.server.Handle(http.MethodGet, all, linkType+"/read", s.listLinks)
	s.server.Handle(http.MethodPut, one, linkType+"/write", s.writer(s.putLink))
	s.server.Handle(http.MethodDelete, one, linkType+"/delete", s.writer(s.deleteLink))
}

// listLinks lists the links of a zone.
func (s *Service) listLinks(ctx context.Context, r *arm.Request) (*arm.Response, error) {
	if _, err := s.zoneOf(r); err != nil {
		return nil, err
	}
	return s.links.list(ctx, r)
}

// linkRequest is the body of a PUT of a link.
type linkRequest struct {
	common
	Properties struct {
		VirtualNetwork      reference `json:"virtualNetwork"`
		RegistrationEnabled bool      `json:"registrationEnabled"`
		ResolutionPolicy    string    `json:"resolutionPolicy"`
	} `json:"properties"`
}

func (s *Service) putLink(r *arm.Request) (*arm.Response, error) {
	var request linkRequest
	if err := r.Decode(&request); err != nil {
		return nil, err
	}
	z, err := s.zoneOf(r)
	if err != nil {
		return nil, err
	}
	l, existed, err := s.links.begin(r, z.ID+"/virtualNetworkLinks/"+r.Var("name"), r.Var("name"), request.common)
	if err != nil {
		return nil, err
	}
	if policy := request.Properties.ResolutionPolicy; policy != "" && policy != "Default" {
		return nil, notSupported("the resolutionPolicy '"+policy+"'", l.ID)
	}
	n, err := s.linkable(r, l, z, request.Properties.VirtualNetwork.ID)
	if err != nil {
		return nil, err
	}
	l.Zone, l.Network, l.Registration = z.Name, n.ID, request.Properties.RegistrationEnabled
	response, err := s.links.finish(r, l, existed)
	if err == nil {
		s.relink()
	}
	return response, err
}

// linkable returns the network that a link names, if the zone may have it.
func (s *Service) linkable(r *arm.Request, l link, z zone, id string) (network, error) {
	if id == "" {
		return network{}, arm.BadRequest("BadRequest", "The property 'virtualNetwork.id' of the virtual network link '%s' is missing.", l.Name)
	}
	if err := s.mayJoin(r, linkType+"/write", networkType, id); err != nil {
		return network{}, err
	}
	n, ok := s.networks.get(id)
	switch {
	case !ok:
		return n, lost(id, l.ID)
	case l.Network != "" && !strings.EqualFold(l.Network, n.ID):
		return n, arm.BadRequest("BadRequest", "The virtual network of the virtual network link '%s' cannot be changed.", l.Name)
	}
	for _, other := range s.links.within("") {
		if other.key() != l.key() && other.Zone == z.Name && strings.EqualFold(other.Network, n.ID) {
			return n, arm.BadRequest("BadRequest", "A virtual network cannot be linked to multiple zones with overlapping namespaces. "+
				"You tried to link virtual network with '%s' and '%s' zones.", z.Name, other.Zone)
		}
	}
	return n, nil
}

func (s *Service) deleteLink(r *arm.Request) (*arm.Response, error) {
	l, existed := s.links.get(r.Path())
	if err := condition(r, l.Etag, existed); err != nil {
		return nil, err
	}
	if !existed {
		return deleted(false), nil
	}
	if err := s.links.delete(l.ID); err != nil {
		return nil, err
	}
	s.relink()
	return deleted(true), nil
}
