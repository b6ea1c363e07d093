package groups

import (
	"crypto/sha256"
	"strings"

	"github.com/google/uuid"
)

// The scopes of a DNS name label: who gets the same full name for it again.
const (
	scopeUnsecure      = "Unsecure" // anyone
	scopeTenant        = "TenantReuse"
	scopeSubscription  = "SubscriptionReuse"
	scopeResourceGroup = "ResourceGroupReuse"
	scopeNone          = "Noreuse" // nobody
)

func scopes() []string {
	return []string{scopeUnsecure, scopeTenant, scopeSubscription, scopeResourceGroup, scopeNone}
}

// hashLetters is how many letters of a hash stand in a full name; Azure's
// names have as many.
const hashLetters = 16

// fullName returns the name that a group gets for its label: LABEL.LOCATION
// and the cloud's suffix, with a hash after the label unless the scope is
// Unsecure. The hash is of what has the scope, and so the name comes back to
// the same tenant, subscription or resource group and to no other; Noreuse
// hashes something new each time. sub and rg are those of the group.
func (s *Service) fullName(a *IPAddress, sub, rg string) string {
	var of []string
	switch a.Scope {
	case scopeTenant:
		of = []string{s.options.Tenant}
	case scopeSubscription:
		of = []string{s.options.Tenant, sub}
	case scopeResourceGroup:
		of = []string{s.options.Tenant, sub, rg}
	case scopeNone:
		of = []string{uuid.NewString()}
	}
	labels := []string{a.DNSNameLabel}
	if of != nil {
		labels = append(labels, letters(append(of, a.DNSNameLabel)...))
	}
	return strings.Join(append(labels, s.options.Location, s.options.DNSSuffix), ".")
}

// letters is a hash of words, in any case, that can stand in a DNS name.
func letters(words ...string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.Join(words, "/"))))
	var b strings.Builder
	for _, c := range sum[:hashLetters] {
		b.WriteByte('a' + c%26)
	}
	return b.String()
}

// name gives the group that is about to be made its full name. One that is
// only updated keeps its own as long as what it asks for stays the same.
func (s *Service) name(spec, before *Group, sub, rg string) {
	a := spec.Properties.IPAddress
	if a == nil || a.DNSNameLabel == "" {
		return
	}
	if before != nil {
		if b := before.Properties.IPAddress; b != nil && b.FQDN != "" && b.DNSNameLabel == a.DNSNameLabel && b.Scope == a.Scope {
			a.FQDN = b.FQDN
			return
		}
	}
	a.FQDN = s.fullName(a, sub, rg)
}

// fqdn returns the group's full name, or nothing when it has none.
func (g *Group) fqdn() string {
	if g.Properties.IPAddress == nil {
		return ""
	}
	return g.Properties.IPAddress.FQDN
}
