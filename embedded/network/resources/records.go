package resources

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/arm"
)

// recordSet is a record set of type A.
type recordSet struct {
	ID string `json:"id"`
	// Name is relative to the zone, in lower case, @ for the zone itself.
	Name     string            `json:"name"`
	Etag     string            `json:"etag"`
	TTL      uint32            `json:"ttl"` // seconds
	Addrs    []netip.Addr      `json:"addrs,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

type recordProperties struct {
	Metadata         map[string]string `json:"metadata,omitempty"`
	TTL              uint32            `json:"ttl"`
	FQDN             string            `json:"fqdn"`
	IsAutoRegistered bool              `json:"isAutoRegistered"`
	ARecords         []aRecord         `json:"aRecords"`
}

type aRecord struct {
	IPv4Address string `json:"ipv4Address"`
}

const apex = "@"

func showRecords(z zone, set recordSet) body {
	p := recordProperties{Metadata: set.Metadata, TTL: set.TTL, FQDN: z.Name + ".", ARecords: []aRecord{}}
	if set.Name != apex {
		p.FQDN = set.Name + "." + p.FQDN
	}
	for _, addr := range set.Addrs {
		p.ARecords = append(p.ARecords, aRecord{addr.String()})
	}
	return body{ID: set.ID, Name: set.Name, Type: recordType, Etag: set.Etag, Properties: p}
}

func (s *Service) registerRecords() {
	const in = "/subscriptions/{sub}/resourceGroups/{rg}/providers/" + zoneType + "/{zone}"
	const all, one = in + "/A", in + "/A/{name}"
	h := s.server.Handle
	h(http.MethodPut, one, recordType+"/write", s.writer(s.putRecords))
	h(http.MethodPatch, one, recordType+"/write", s.writer(s.patchRecords))
	h(http.MethodGet, one, recordType+"/read", s.getRecords)
	h(http.MethodDelete, one, recordType+"/delete", s.writer(s.deleteRecords))
	h(http.MethodGet, all, recordType+"/read", s.listRecords)
	h(http.MethodGet, in+"/ALL", zoneType+"/ALL/read", s.listRecords)
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodGet, http.MethodDelete} {
		h(method, in+"/{type}/{name}", "", refuseType)
	}
	h(http.MethodGet, in+"/{type}", "", refuseType)
}

// refuseType refuses what in a zone is neither a link nor a record set of type A.
func refuseType(_ context.Context, r *arm.Request) (*arm.Response, error) {
	return nil, notSupported("record sets of type '"+r.Var("type")+"', only those of type 'A',", newID(r, zoneType, r.Var("zone")))
}

// recordRequest is the body of a PUT or PATCH; what is absent is nil.
type recordRequest struct {
	Properties struct {
		TTL      *int64            `json:"ttl"`
		ARecords *[]aRecord        `json:"aRecords"`
		Metadata map[string]string `json:"metadata"`
	} `json:"properties"`
}

// The most records that a set may have, and the longest time that it may be
// kept for, in seconds.
const maxRecords, maxTTL = 20, 1<<31 - 1

// apply puts what a request has into a record set.
func (q *recordRequest) apply(set *recordSet) error {
	p := &q.Properties
	if p.TTL != nil {
		if *p.TTL < 1 || *p.TTL > maxTTL {
			return arm.BadRequest("BadRequest", "The TTL %d of the record set '%s' is not between 1 and %d seconds.", *p.TTL, set.Name, int64(maxTTL))
		}
		set.TTL = uint32(*p.TTL)
	}
	if set.TTL == 0 {
		return arm.BadRequest("BadRequest", "The record set '%s' has no TTL.", set.Name)
	}
	if p.Metadata != nil {
		set.Metadata = p.Metadata
	}
	if p.ARecords == nil {
		return nil
	}
	var err error
	set.Addrs, err = addrsOf(*p.ARecords, set.Name)
	return err
}

// addrsOf reads the addresses of a record set.
func addrsOf(records []aRecord, name string) ([]netip.Addr, error) {
	if len(records) > maxRecords {
		return nil, arm.BadRequest("BadRequest", "The record set '%s' has %d records. The most is %d.", name, len(records), maxRecords)
	}
	var addrs []netip.Addr
	seen := map[netip.Addr]bool{}
	for _, record := range records {
		addr, err := netip.ParseAddr(record.IPv4Address)
		if err != nil || !addr.Is4() || seen[addr] {
			return nil, arm.BadRequest("BadRequest", "The address '%s' in the record set '%s' is no IPv4 address, or is there twice.", record.IPv4Address, name)
		}
		seen[addr] = true
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// validRecordName checks a name relative to a zone, in lower case. Its first
// label may be a *, which stands for all names that there are not.
func validRecordName(name string, z zone) error {
	labels := strings.TrimPrefix(name, "*.")
	if name == apex || name == "*" || validDNSName(labels) && len(name)+1+len(z.Name) <= 253 {
		return nil
	}
	return arm.BadRequest("BadRequest", "The record set name '%s' in zone '%s' is invalid.", name, z.Name)
}

// locate returns the zone and, if there is one, the record set of a request.
func (s *Service) locate(r *arm.Request) (z zone, set recordSet, existed bool, err error) {
	if z, err = s.zoneOf(r); err != nil {
		return z, set, false, err
	}
	name := strings.ToLower(r.Var("name"))
	id := z.ID + "/A/" + name
	if set, existed = s.records.get(id); !existed {
		set = recordSet{ID: id, Name: name}
	}
	return z, set, existed, nil
}

// putRecords creates a record set or replaces it as a whole.
func (s *Service) putRecords(r *arm.Request) (*arm.Response, error) {
	z, set, existed, err := s.locate(r)
	if err != nil {
		return nil, err
	}
	if err := validRecordName(set.Name, z); err != nil {
		return nil, err
	}
	if err := condition(r, set.Etag, existed); err != nil {
		return nil, err
	}
	if !existed && len(s.records.within(z.ID)) >= maxRecordSets {
		return nil, arm.BadRequest("BadRequest", "The zone '%s' has %d record sets, which is the most that it may have.", z.Name, maxRecordSets)
	}
	status := http.StatusCreated
	if existed {
		status = http.StatusOK
	}
	return s.saveRecords(r, z, recordSet{ID: set.ID, Name: set.Name}, status)
}

// patchRecords changes what a request has of a record set.
func (s *Service) patchRecords(r *arm.Request) (*arm.Response, error) {
	z, set, existed, err := s.locate(r)
	if err != nil {
		return nil, err
	}
	if !existed {
		return nil, noRecords(r)
	}
	if err := condition(r, set.Etag, existed); err != nil {
		return nil, err
	}
	return s.saveRecords(r, z, set, http.StatusOK)
}

// saveRecords applies a request to a record set and stores it.
func (s *Service) saveRecords(r *arm.Request, z zone, set recordSet, status int) (*arm.Response, error) {
	var request recordRequest
	if err := r.Decode(&request); err != nil {
		return nil, err
	}
	if err := request.apply(&set); err != nil {
		return nil, err
	}
	set.Etag = uuid.NewString()
	if err := s.records.put(set.ID, set); err != nil {
		return nil, err
	}
	s.rename(z.key())
	return &arm.Response{Status: status, Body: showRecords(z, set)}, nil
}

func noRecords(r *arm.Request) error {
	return arm.NotFound(recordType, r.Var("zone")+"/"+r.Var("name"), r.Var("rg"))
}

func (s *Service) getRecords(_ context.Context, r *arm.Request) (*arm.Response, error) {
	z, set, existed, err := s.locate(r)
	if err != nil {
		return nil, err
	}
	if !existed {
		return nil, noRecords(r)
	}
	return &arm.Response{Status: http.StatusOK, Body: showRecords(z, set)}, nil
}

func (s *Service) deleteRecords(r *arm.Request) (*arm.Response, error) {
	z, set, existed, err := s.locate(r)
	if err != nil {
		return nil, err
	}
	if err := condition(r, set.Etag, existed); err != nil {
		return nil, err
	}
	if !existed {
		return deleted(false), nil
	}
	if err := s.records.delete(set.ID); err != nil {
		return nil, err
	}
	s.rename(z.key())
	return deleted(true), nil
}

// listRecords lists the record sets of a zone whose names have a suffix.
func (s *Service) listRecords(_ context.Context, r *arm.Request) (*arm.Response, error) {
	z, err := s.zoneOf(r)
	if err != nil {
		return nil, err
	}
	suffix := strings.ToLower(r.Query("$recordsetnamesuffix"))
	var bodies []body
	for _, set := range s.records.within(z.ID) {
		if suffix == "" || set.Name == suffix || strings.HasSuffix(set.Name, "."+suffix) {
			bodies = append(bodies, showRecords(z, set))
		}
	}
	return page(r, bodies)
}
