package groups

import (
	"path"

	"frankenetes.dev/embedded/arm"
)

// claim gives the group its full name, if it has a label, beside the one that
// it may have.
func (s *Service) claim(key string, g *Group) error {
	name := g.fqdn()
	if name == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner, taken := s.names[name]; taken && owner != key {
		return arm.Conflict("DnsNameLabelNotAvailable", "The DNS name label '%s' in container group '%s' not available. Try using a different label.",
			g.Properties.IPAddress.DNSNameLabel, path.Base(key))
	}
	s.names[name] = key
	return nil
}

// keepOnly takes back every name of the group but one. Nothing of the group
// may run any more under those: it would have them in the zone again.
func (s *Service) keepOnly(key, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, owner := range s.names {
		if owner == key && n != name {
			delete(s.names, n)
			s.options.Zone.Remove(n)
		}
	}
}

func (s *Service) unclaim(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, owner := range s.names {
		if owner == key {
			delete(s.names, n)
		}
	}
}
