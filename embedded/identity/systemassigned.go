package identity

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/store"
)

const systemAssignedKind = "systemAssignedIdentities"

// SystemAssigned is the managed identity that a resource has of its own: it
// comes and goes with the resource.
type SystemAssigned struct {
	// ResourceID is the ARM id of the resource, in the case in which it was given.
	ResourceID string `json:"resourceId"`
	// ClientID names it to clients, PrincipalID to role assignments.
	ClientID    string `json:"clientId"`
	PrincipalID string `json:"principalId"`
}

// AssignSystem gives a resource an identity of its own and returns it with its
// tenant. A resource that has one keeps it.
func (a *Authority) AssignSystem(resourceID string) (principalID, tenantID string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := a.SystemAssigned(resourceID)
	if errors.Is(err, store.ErrNotFound) {
		s = SystemAssigned{ResourceID: resourceID, ClientID: uuid.NewString(), PrincipalID: uuid.NewString()}
		err = a.store.Put(systemAssignedKind, strings.ToLower(resourceID), s)
	}
	if err != nil {
		return "", "", fmt.Errorf("assign identity to %s: %w", resourceID, err)
	}
	return s.PrincipalID, a.tenant, nil
}

// SystemAssigned returns the identity of a resource, or store.ErrNotFound.
func (a *Authority) SystemAssigned(resourceID string) (SystemAssigned, error) {
	var s SystemAssigned
	err := a.store.Get(systemAssignedKind, strings.ToLower(resourceID), &s)
	return s, err
}

// UnassignSystem takes its identity from a resource, with what roles that
// has. Tokens that were given are of no use from then on: no role is left for
// them. A resource without an identity is left as it is.
func (a *Authority) UnassignSystem(resourceID string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, err := a.SystemAssigned(resourceID)
	if err != nil {
		return ignoreNotFound(err)
	}
	err = a.dropAssignments(func(ra RoleAssignment) bool { return ra.PrincipalID == s.PrincipalID })
	if err != nil {
		return fmt.Errorf("take identity from %s: %w", resourceID, err)
	}
	return a.store.Delete(systemAssignedKind, strings.ToLower(resourceID))
}

// managed is an identity that the instance metadata endpoint gives tokens of.
type managed struct {
	Principal
	// resource is the ARM id of the identity, or of the resource whose own it is.
	resource string
	system   bool
}

// managed returns the identity with an ARM id: of a user-assigned one, or of a
// resource that has one of its own; otherwise store.ErrNotFound.
func (a *Authority) managed(id string) (managed, error) {
	u, err := a.UserAssigned(id)
	if err == nil {
		return managed{Principal{ObjectID: u.PrincipalID, ClientID: u.ClientID}, u.ID, false}, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return managed{}, err
	}
	s, err := a.SystemAssigned(id)
	return managed{Principal{ObjectID: s.PrincipalID, ClientID: s.ClientID}, s.ResourceID, true}, err
}
