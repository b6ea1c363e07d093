package resources

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// names is what is asked of for every DNS query of a group, so that none of
// them has to look through the records.
type names struct {
	mu sync.RWMutex
	// linked holds the ARM ids of the zones that a network is linked to, by
	// the ARM id of the network and the name of the zone, ids in lower case.
	linked map[string]map[string]string
	// sets holds the record sets of a zone by their names, the zone's own
	// being empty. A name that is there only because one below it is has none.
	sets map[string]map[string]*recordSet
}

func newNames() *names {
	return &names{linked: map[string]map[string]string{}, sets: map[string]map[string]*recordSet{}}
}

// relink takes over the links as they are now.
func (s *Service) relink() {
	linked := map[string]map[string]string{}
	for _, l := range s.links.within("") {
		network := strings.ToLower(l.Network)
		if linked[network] == nil {
			linked[network] = map[string]string{}
		}
		linked[network][l.Zone] = l.zoneKey()
	}
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	s.names.linked = linked
}

// rename takes over the record sets of a zone, given its ARM id in lower case,
// as they are now.
func (s *Service) rename(zoneKey string) {
	sets := map[string]*recordSet{"": nil}
	for _, set := range s.records.within(zoneKey) {
		name := set.Name
		if name == apex {
			name = ""
		}
		sets[name] = &set
		for _, parent, ok := strings.Cut(name, "."); ok; _, parent, ok = strings.Cut(parent, ".") {
			if _, there := sets[parent]; !there {
				sets[parent] = nil
			}
		}
	}
	_, exists := s.zones.get(zoneKey)
	s.names.mu.Lock()
	defer s.names.mu.Unlock()
	if exists {
		s.names.sets[zoneKey] = sets
	} else {
		delete(s.names.sets, zoneKey)
	}
}

// Resolve returns the IPv4 addresses of a name, in any case and with or
// without a dot at its end, as it is seen from a network, the ARM id of a
// virtual network in lower case, and for how many seconds the answer may be
// kept. It is authoritative where a private DNS zone with the name in it is
// linked to the network, of several the one with the longest name: then a name
// without addresses has none, and nobody else is to be asked.
func (s *Service) Resolve(network, name string) (addrs []netip.Addr, ttl uint32, authoritative bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	s.names.mu.RLock()
	defer s.names.mu.RUnlock()
	zones := s.names.linked[network]
	for zone := name; zone != "" && len(zones) > 0; _, zone, _ = strings.Cut(zone, ".") {
		id, ok := zones[zone]
		if !ok {
			continue
		}
		relative := strings.TrimSuffix(strings.TrimSuffix(name, zone), ".")
		if set := lookUp(s.names.sets[id], relative); set != nil {
			return slices.Clone(set.Addrs), set.TTL, true
		}
		return nil, 0, true
	}
	return nil, 0, false
}

// lookUp returns the record set of a name, or that of the wildcard below the
// nearest name above it that is there, or nil.
func lookUp(sets map[string]*recordSet, name string) *recordSet {
	if set, there := sets[name]; there {
		return set
	}
	for name != "" {
		_, name, _ = strings.Cut(name, ".")
		if _, there := sets[name]; there {
			return sets[strings.TrimSuffix("*."+name, ".")]
		}
	}
	return nil
}
