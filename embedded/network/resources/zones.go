package resources

import (
	"net/http"
	"regexp"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// zone is the record of a private DNS zone, whose name is in lower case.
type zone struct {
	resource
}

// The most that a zone may have, as documented for Azure.
const maxRecordSets, maxLinks, maxRegistrationLinks = 25000, 1000, 100

type zoneProperties struct {
	ProvisioningState    string `json:"provisioningState"`
	MaxRecordSets        int    `json:"maxNumberOfRecordSets"`
	RecordSets           int    `json:"numberOfRecordSets"`
	MaxLinks             int    `json:"maxNumberOfVirtualNetworkLinks"`
	Links                int    `json:"numberOfVirtualNetworkLinks"`
	MaxRegistrationLinks int    `json:"maxNumberOfVirtualNetworkLinksWithRegistration"`
	RegistrationLinks    int    `json:"numberOfVirtualNetworkLinksWithRegistration"`
}

func (s *Service) showZone(z zone, _ string) body {
	p := zoneProperties{ProvisioningState: succeeded, MaxRecordSets: maxRecordSets, MaxLinks: maxLinks, MaxRegistrationLinks: maxRegistrationLinks,
		RecordSets: len(s.records.within(z.ID))}
	for _, l := range s.links.within(z.ID) {
		p.Links++
		if l.Registration {
			p.RegistrationLinks++
		}
	}
	return z.body(zoneType, z.Etag, p)
}

func (s *Service) registerZones() {
	one := s.zones.registerTop(s)
	s.server.Handle(http.MethodPut, one, zoneType+"/write", s.writer(s.putZone))
	s.server.Handle(http.MethodDelete, one, zoneType+"/delete", s.writer(s.deleteZone))
}

// dnsLabel is one label of a name in a zone, in lower case.
var dnsLabel = regexp.MustCompile(`^[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?$`)

// validDNSName says whether a name in lower case can be looked up.
func validDNSName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if !dnsLabel.MatchString(label) {
			return false
		}
	}
	return true
}

func validZoneName(name string) error {
	if labels := strings.Count(name, ".") + 1; labels < 2 || labels > 34 || !validDNSName(name) {
		return arm.BadRequest("BadRequest", "The private DNS zone name '%s' is invalid: it must have 2 to 34 labels of 1 to 63 letters, digits, '-' and '_'.", name)
	}
	return nil
}

func (s *Service) putZone(r *arm.Request) (*arm.Response, error) {
	var request common
	if err := r.Decode(&request); err != nil {
		return nil, err
	}
	name := strings.ToLower(r.Var("name"))
	z, existed, err := s.zones.begin(r, newID(r, zoneType, name), name, request)
	if err != nil {
		return nil, err
	}
	response, err := s.zones.finish(r, z, existed)
	if err == nil {
		s.rename(z.key())
	}
	return response, err
}

func (s *Service) deleteZone(r *arm.Request) (*arm.Response, error) {
	z, existed := s.zones.get(r.Path())
	if err := condition(r, z.Etag, existed); err != nil {
		return nil, err
	}
	if !existed {
		return deleted(false), nil
	}
	if links := s.links.within(z.ID); len(links) > 0 {
		return nil, arm.Conflict("CannotDeleteResource", "Cannot delete resource while nested resources exist. Some existing nested resource IDs "+
			"include: '%s/%s/virtualNetworkLinks/%s'. Please delete all nested resources before deleting this resource.", zoneType, z.Name, links[0].Name)
	}
	return deleted(true), s.dropZone(z)
}

// dropZone removes a zone with all that is in it.
func (s *Service) dropZone(z zone) error {
	for _, l := range s.links.within(z.ID) {
		if err := s.links.delete(l.ID); err != nil {
			return err
		}
	}
	s.relink()
	for _, set := range s.records.within(z.ID) {
		if err := s.records.delete(set.ID); err != nil {
			return err
		}
	}
	if err := s.zones.delete(z.ID); err != nil {
		return err
	}
	s.rename(z.key())
	return nil
}

// zoneOf returns the zone that a request about something in it names.
func (s *Service) zoneOf(r *arm.Request) (zone, error) {
	z, ok := s.zones.get(newID(r, zoneType, r.Var("zone")))
	if !ok {
		return z, &arm.Error{Status: http.StatusNotFound, Code: "ParentResourceNotFound",
			Message: "Can not perform requested operation on nested resource. Parent resource '" + r.Var("zone") + "' not found."}
	}
	return z, nil
}
