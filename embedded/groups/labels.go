package groups

import (
	"path"

	"frankenetes.dev/embedded/arm"
)

// claim gives the group a DNS label, and takes back the one that it had.
func (s *Service) claim(key, label string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner, taken := s.labels[label]; label != "" && taken && owner != key {
		return arm.Conflict("DnsNameLabelNotAvailable", "The DNS name label '%s' in container group '%s' not available. Try using a different label.",
			label, path.Base(key))
	}
	for l, owner := range s.labels {
		if owner == key && l != label {
			delete(s.labels, l)
			s.options.Zone.Remove(l + "." + s.options.Location + "." + s.options.DNSSuffix)
		}
	}
	if label != "" {
		s.labels[label] = key
	}
	return nil
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
