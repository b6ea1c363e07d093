package groups

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/identity"
	"frankenetes.dev/embedded/store"
)

// Identities knows managed identities.
type Identities interface {
	// UserAssigned returns the identity with an ARM id, or store.ErrNotFound.
	UserAssigned(id string) (identity.UserAssigned, error)
	// AssignSystem gives a resource, by its ARM id, an identity of its own, or
	// finds the one that it has; UnassignSystem takes it back, if there is one.
	AssignSystem(resourceID string) (principalID, tenantID string, err error)
	UnassignSystem(resourceID string) error
}

// hasOwn reports whether the group has an identity of its own.
func (g *Group) hasOwn() bool {
	return g != nil && g.Identity != nil && (g.Identity.Type == identitySystem || g.Identity.Type == identityBoth)
}

// assignOwn gives the group an identity of its own, if it asks for one.
func (s *Service) assignOwn(spec *Group) error {
	if !spec.hasOwn() {
		return nil
	}
	var err error
	spec.Identity.PrincipalID, spec.Identity.TenantID, err = s.options.Identities.AssignSystem(spec.ID)
	return err
}

// takeBackOwn takes a group's own identity back unless what is left of the
// group, which may be nothing, still has one.
func (s *Service) takeBackOwn(id string, left *Group) error {
	if left.hasOwn() {
		return nil
	}
	return s.options.Identities.UnassignSystem(id)
}

// resolveIdentities fills in the ids of the user-assigned identities. Who gives a group an
// identity gets what it may do, and so must be allowed to.
func (s *Service) resolveIdentities(r *arm.Request, spec *Group) error {
	if spec.Identity == nil {
		return nil
	}
	for id := range spec.Identity.UserAssignedIdentities {
		// First, so that who may not use it does not learn whether it is there.
		if !s.arm.Allowed(r.Principal, "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action", id) {
			return &arm.Error{Status: http.StatusForbidden, Code: "LinkedAuthorizationFailed",
				Message: fmt.Sprintf("The client has permission to perform action 'Microsoft.ContainerInstance/containerGroups/write' on the container group '%s', "+
					"but not 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action' on the linked identity '%s'.", spec.Name, id)}
		}
		known, err := s.options.Identities.UserAssigned(id)
		if errors.Is(err, store.ErrNotFound) {
			return invalid("FailedIdentityOperation", "The identity '%s' of container group '%s' was not found.", id, spec.Name)
		}
		if err != nil {
			return err
		}
		spec.Identity.UserAssignedIdentities[id] = AssignedIdentity{ClientID: known.ClientID, PrincipalID: known.PrincipalID}
	}
	return nil
}

// IdentitiesAt returns the identities of the group that has an address, each
// by its ARM id, or the group's own by the group's, and whether there is such
// a group.
func (s *Service) IdentitiesAt(addr netip.Addr) ([]string, bool) {
	for _, g := range s.list("") {
		d := g.live()
		if d == nil || d.place.Cloud != addr.Unmap() {
			continue
		}
		return slices.DeleteFunc(d.group.identities(), func(id string) bool { return s.isAnother(d.group, id) }), true
	}
	return nil, false
}

// isAnother reports whether an identity was made anew, under the same name,
// since it was given to a group: the group was not given that one.
func (s *Service) isAnother(g *Group, id string) bool {
	given, ok := g.Identity.UserAssignedIdentities[id]
	if !ok {
		return false // the group's own
	}
	now, err := s.options.Identities.UserAssigned(id)
	return err != nil || now.PrincipalID != given.PrincipalID
}

func (g *Group) identities() []string {
	var ids []string
	if g.hasOwn() {
		ids = append(ids, g.ID)
	}
	if g.Identity != nil {
		for id := range g.Identity.UserAssignedIdentities {
			ids = append(ids, id)
		}
	}
	return ids
}
