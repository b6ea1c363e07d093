package groups

import (
	"path"

	"frankenetes.dev/embedded/arm"
)

// claim gives the group a DNS label, if it asks for one, beside the one that
// it may have.
func (s *Service) claim(key, label string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner, taken := s.labels[label]; label != "" && taken && owner != key {
		return arm.Conflict("DnsNameLabelNotAvailable", "The DNS name label '%s' in container group '%s' not available. Try using a different label.",
			label, path.Base(key))
	}
	if label != "" {
		s.labels[label] = key
	}
	return nil
}

// keepOnly takes back every label of the group but one. Nothing of the group
// may run any more under those: it would have them in the zone again.
func (s *Service) keepOnly(key, label string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l, owner := range s.labels {
		if owner == key && l != label {
			delete(s.labels, l)
			s.options.Zone.Remove(l + "." + s.options.Location + "." + s.options.DNSSuffix)
		}
	}
}

func (s *Service) unclaim(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l, owner := range s.labels {
		if owner == key {
			delete(s.labels, l)
		}
	}
}

func label(g *Group) string {
	if g.Properties.IPAddress == nil {
		return ""
	}
	return g.Properties.IPAddress.DNSNameLabel
}
