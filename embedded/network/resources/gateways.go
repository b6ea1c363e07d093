package resources

import (
	"encoding/json"
	"net/http"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// gateway is the record of a NAT gateway.
type gateway struct {
	resource
	// Addresses are the ARM ids of its public IP addresses.
	Addresses   []string `json:"addresses,omitempty"`
	IdleTimeout int      `json:"idleTimeout"`
	Zones       []string `json:"zones,omitempty"`
}

type gatewayProperties struct {
	ProvisioningState    string      `json:"provisioningState"`
	ResourceGUID         string      `json:"resourceGuid"`
	IdleTimeoutInMinutes int         `json:"idleTimeoutInMinutes"`
	PublicIPAddresses    []reference `json:"publicIpAddresses,omitempty"`
	Subnets              []reference `json:"subnets,omitempty"`
}

// sku is the kind and tier of a resource, of which there is one.
type sku struct {
	Name string `json:"name"`
	Tier string `json:"tier,omitempty"`
}

const standard = "Standard"

func (s *Service) showGateway(g gateway, state string) body {
	b := g.body(gatewayType, weak(g.Etag), gatewayProperties{
		ProvisioningState: state, ResourceGUID: g.GUID, IdleTimeoutInMinutes: g.IdleTimeout,
		PublicIPAddresses: references(g.Addresses), Subnets: references(s.behind(g)),
	})
	b.SKU, b.Zones = sku{Name: standard}, g.Zones
	return b
}

func references(ids []string) []reference {
	var list []reference
	for _, id := range ids {
		list = append(list, reference{id})
	}
	return list
}

// behind returns the ARM ids of the subnets that have a NAT gateway.
func (s *Service) behind(g gateway) []string {
	var ids []string
	for _, n := range s.networks.within("") {
		for _, sub := range n.Subnets {
			if strings.EqualFold(sub.Gateway, g.ID) {
				ids = append(ids, n.subnetID(sub.Name))
			}
		}
	}
	return ids
}

// outbound says whether a subnet has a way out to the internet.
func (s *Service) outbound(sub subnet) bool {
	g, ok := s.gateways.get(sub.Gateway)
	return ok && len(g.Addresses) > 0
}

func (s *Service) registerGateways() {
	one := s.gateways.registerTop(s)
	s.server.Handle(http.MethodPut, one, gatewayType+"/write", s.writer(s.putGateway))
	s.server.Handle(http.MethodDelete, one, gatewayType+"/delete", s.writer(s.deleteGateway))
}

// gatewayRequest is the body of a PUT of a NAT gateway.
type gatewayRequest struct {
	common
	SKU        sku      `json:"sku"`
	Zones      []string `json:"zones"`
	Properties struct {
		IdleTimeoutInMinutes *int            `json:"idleTimeoutInMinutes"`
		PublicIPAddresses    []reference     `json:"publicIpAddresses"`
		PublicIPPrefixes     json.RawMessage `json:"publicIpPrefixes"`
		AddressesV6          json.RawMessage `json:"publicIpAddressesV6"`
		PrefixesV6           json.RawMessage `json:"publicIpPrefixesV6"`
		SourceNetwork        json.RawMessage `json:"sourceVirtualNetwork"`
	} `json:"properties"`
}

func (q *gatewayRequest) check(id string) error {
	if q.SKU.Name != "" && !strings.EqualFold(q.SKU.Name, standard) {
		return notSupported("the sku '"+q.SKU.Name+"'", id)
	}
	return refuse(id,
		sent{"properties.publicIpPrefixes", q.Properties.PublicIPPrefixes},
		sent{"properties.publicIpAddressesV6", q.Properties.AddressesV6},
		sent{"properties.publicIpPrefixesV6", q.Properties.PrefixesV6},
		sent{"properties.sourceVirtualNetwork", q.Properties.SourceNetwork},
	)
}

func (s *Service) putGateway(r *arm.Request) (*arm.Response, error) {
	var request gatewayRequest
	if err := r.Decode(&request); err != nil {
		return nil, err
	}
	g, existed, err := s.gateways.begin(r, newID(r, gatewayType, r.Var("name")), r.Var("name"), request.common)
	if err != nil {
		return nil, err
	}
	if err := request.check(g.ID); err != nil {
		return nil, err
	}
	p := &request.Properties
	if g.IdleTimeout, err = idleTimeout(p.IdleTimeoutInMinutes, 120, g.ID); err != nil {
		return nil, err
	}
	g.Zones, g.Addresses = request.Zones, nil
	for _, address := range p.PublicIPAddresses {
		id, err := s.take(r, g, address.ID)
		if err != nil {
			return nil, err
		}
		g.Addresses = append(g.Addresses, id)
	}
	for _, id := range s.behind(g) {
		s.touch(subnetPath.FindStringSubmatch(strings.ToLower(id))[1])
	}
	return s.gateways.finish(r, g, existed)
}

// idleTimeout returns how many minutes a connection may be idle. It is kept to
// be shown.
func idleTimeout(asked *int, most int, of string) (int, error) {
	const least = 4
	if asked == nil {
		return least, nil
	}
	if *asked < least || *asked > most {
		return 0, arm.BadRequest("InvalidIdleTimeout", "The idleTimeoutInMinutes %d of resource %s is not between %d and %d.", *asked, of, least, most)
	}
	return *asked, nil
}

// take returns the ARM id of the public IP address that a gateway names, if it
// may have it.
func (s *Service) take(r *arm.Request, g gateway, id string) (string, error) {
	if err := s.mayJoin(r, gatewayType+"/write", addressType, id); err != nil {
		return "", err
	}
	a, ok := s.addresses.get(id)
	if !ok {
		return "", lost(id, g.ID)
	}
	if holder, ok := s.holder(a); ok && holder.key() != g.key() {
		return "", arm.BadRequest("PublicIPAddressInUse", "Resource %s is referencing public IP address %s that is already allocated to resource %s.",
			g.ID, a.ID, holder.ID)
	}
	return a.ID, nil
}

func (s *Service) deleteGateway(r *arm.Request) (*arm.Response, error) {
	g, existed := s.gateways.get(r.Path())
	if err := condition(r, g.Etag, existed); err != nil {
		return nil, err
	}
	if !existed {
		return deleted(false), nil
	}
	if users := s.behind(g); len(users) > 0 {
		return nil, gatewayInUse(g, users[0])
	}
	return deleted(true), s.gateways.delete(g.ID)
}

func gatewayInUse(g gateway, subnetID string) *arm.Error {
	return arm.BadRequest("InUseNatGatewayCannotBeDeleted", "NAT gateway %s is in use by subnet %s and cannot be deleted.", g.ID, subnetID)
}
