package resources

import (
	"encoding/json"
	"hash/fnv"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// address is the record of a public IP address.
type address struct {
	resource
	IP          netip.Addr `json:"ip"`
	IdleTimeout int        `json:"idleTimeout"`
	Zones       []string   `json:"zones,omitempty"`
}

type addressProperties struct {
	ProvisioningState        string     `json:"provisioningState"`
	ResourceGUID             string     `json:"resourceGuid"`
	IPAddress                string     `json:"ipAddress"`
	PublicIPAddressVersion   string     `json:"publicIPAddressVersion"`
	PublicIPAllocationMethod string     `json:"publicIPAllocationMethod"`
	IdleTimeoutInMinutes     int        `json:"idleTimeoutInMinutes"`
	NATGateway               *reference `json:"natGateway,omitempty"`
}

const ipv4, static = "IPv4", "Static"

func (s *Service) showAddress(a address, state string) body {
	p := addressProperties{ProvisioningState: state, ResourceGUID: a.GUID, IPAddress: a.IP.String(), PublicIPAddressVersion: ipv4,
		PublicIPAllocationMethod: static, IdleTimeoutInMinutes: a.IdleTimeout}
	if g, ok := s.holder(a); ok {
		p.NATGateway = &reference{g.ID}
	}
	b := a.body(addressType, weak(a.Etag), p)
	b.SKU, b.Zones = sku{Name: standard, Tier: "Regional"}, a.Zones
	return b
}

// holder returns the NAT gateway that has a public IP address.
func (s *Service) holder(a address) (gateway, bool) {
	for _, g := range s.gateways.within("") {
		if slices.ContainsFunc(g.Addresses, func(id string) bool { return strings.EqualFold(id, a.ID) }) {
			return g, true
		}
	}
	return gateway{}, false
}

func (s *Service) registerAddresses() {
	one := s.addresses.registerTop(s)
	s.server.Handle(http.MethodPut, one, addressType+"/write", s.writer(s.putAddress))
	s.server.Handle(http.MethodDelete, one, addressType+"/delete", s.writer(s.deleteAddress))
}

// addressRequest is the body of a PUT of a public IP address.
type addressRequest struct {
	common
	SKU              sku             `json:"sku"`
	Zones            []string        `json:"zones"`
	ExtendedLocation json.RawMessage `json:"extendedLocation"`
	Properties       struct {
		Version              string `json:"publicIPAddressVersion"`
		Method               string `json:"publicIPAllocationMethod"`
		IdleTimeoutInMinutes *int   `json:"idleTimeoutInMinutes"`
		DNSSettings          struct {
			Label   json.RawMessage `json:"domainNameLabel"`
			Reverse json.RawMessage `json:"reverseFqdn"`
		} `json:"dnsSettings"`
		IPTags json.RawMessage `json:"ipTags"`
		Prefix json.RawMessage `json:"publicIPPrefix"`
	} `json:"properties"`
}

// check returns what is wrong with a request: there are static IPv4 addresses
// of the SKU Standard, as on Azure since it has no Basic ones any more.
func (q *addressRequest) check(id string) error {
	p := &q.Properties
	switch {
	case q.SKU.Name == "" || strings.EqualFold(q.SKU.Name, "Basic"):
		return arm.BadRequest("IPv4BasicSkuPublicIpCountLimitReached",
			"Cannot create more than 0 IPv4 Basic SKU public IP addresses for this subscription in this region. Set the sku of resource %s to Standard.", id)
	case !strings.EqualFold(q.SKU.Name, standard):
		return notSupported("the sku '"+q.SKU.Name+"'", id)
	case q.SKU.Tier != "" && !strings.EqualFold(q.SKU.Tier, "Regional"):
		return notSupported("the tier '"+q.SKU.Tier+"' of the sku", id)
	case p.Version != "" && !strings.EqualFold(p.Version, ipv4):
		return notSupported("the address version '"+p.Version+"'", id)
	case !strings.EqualFold(p.Method, static):
		return arm.BadRequest("StandardAndStandardV2SkuPublicIPAddressesMustBeStatic",
			"Standard sku publicIp %s must have AllocationMethod set to Static.", id)
	}
	return refuse(id,
		sent{"extendedLocation", q.ExtendedLocation},
		sent{"properties.dnsSettings.domainNameLabel", p.DNSSettings.Label},
		sent{"properties.dnsSettings.reverseFqdn", p.DNSSettings.Reverse},
		sent{"properties.ipTags", p.IPTags},
		sent{"properties.publicIPPrefix", p.Prefix},
	)
}

func (s *Service) putAddress(r *arm.Request) (*arm.Response, error) {
	var request addressRequest
	if err := r.Decode(&request); err != nil {
		return nil, err
	}
	a, existed, err := s.addresses.begin(r, newID(r, addressType, r.Var("name")), r.Var("name"), request.common)
	if err != nil {
		return nil, err
	}
	if err := request.check(a.ID); err != nil {
		return nil, err
	}
	a.Zones = request.Zones
	if a.IdleTimeout, err = idleTimeout(request.Properties.IdleTimeoutInMinutes, 30, a.ID); err != nil {
		return nil, err
	}
	if !existed {
		if a.IP, err = s.allocate(a.key()); err != nil {
			return nil, err
		}
	}
	return s.addresses.finish(r, a, existed)
}

// allocate returns an address of 203.0.113.0/24, a range for documentation: no
// packet ever has it, the host's own address is what the internet sees. The
// same resource gets the same address, unless another one has it.
func (s *Service) allocate(id string) (netip.Addr, error) {
	const count = 254
	taken := map[netip.Addr]bool{}
	for _, a := range s.addresses.within("") {
		taken[a.IP] = true
	}
	hash := fnv.New32a()
	hash.Write([]byte(id))
	for i := range uint32(count) {
		ip := netip.AddrFrom4([4]byte{203, 0, 113, byte((hash.Sum32()%count+i)%count + 1)})
		if !taken[ip] {
			return ip, nil
		}
	}
	return netip.Addr{}, arm.BadRequest("PublicIPCountLimitReached",
		"Cannot create more than %d public IP addresses for this subscription in this region.", count)
}

func (s *Service) deleteAddress(r *arm.Request) (*arm.Response, error) {
	a, existed := s.addresses.get(r.Path())
	if err := condition(r, a.Etag, existed); err != nil {
		return nil, err
	}
	if !existed {
		return deleted(false), nil
	}
	if g, ok := s.holder(a); ok {
		return nil, addressInUse(a, g)
	}
	return deleted(true), s.addresses.delete(a.ID)
}

func addressInUse(a address, g gateway) *arm.Error {
	return arm.BadRequest("PublicIPAddressCannotBeDeleted", "Public IP address %s can not be deleted since it is still allocated to resource %s. "+
		"In order to delete the public IP, disassociate/detach the Public IP address from the resource.", a.ID, g.ID)
}
