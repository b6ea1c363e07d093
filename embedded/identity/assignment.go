package identity

import (
	"errors"
	"fmt"
	"strings"

	"frankenetes.dev/embedded/store"
)

const roleAssignmentKind = "roleAssignments"

// RoleAssignment gives a principal a role at a scope and below it.
type RoleAssignment struct {
	// Scope is the ARM id of a subscription, a resource group or a resource.
	Scope string `json:"scope"`
	// Name is a UUID.
	Name          string `json:"name"`
	Role          Role   `json:"role"`
	PrincipalID   string `json:"principalId"`
	PrincipalType string `json:"principalType"`
}

// ID returns the assignment's ARM id.
func (ra RoleAssignment) ID() string {
	return ra.Scope + "/providers/Microsoft.Authorization/roleAssignments/" + ra.Name
}

func (ra RoleAssignment) key() string { return strings.ToLower(ra.ID()) }

// Errors of Assign.
var (
	// ErrNoPrincipal: the assignment's principal does not exist.
	ErrNoPrincipal = errors.New("no such principal")
	// ErrAssigned: the same role is assigned under another name.
	ErrAssigned = errors.New("the role is assigned already")
	// ErrChanged: there is another assignment of that name.
	ErrChanged = errors.New("a role assignment cannot be changed")
)

func (a *Authority) loadAssignments() error {
	a.assignments = map[string]RoleAssignment{}
	return each(a.store, roleAssignmentKind, "", func(ra RoleAssignment) error {
		a.assignments[ra.key()] = ra
		return nil
	})
}

// Assign makes an assignment and says whether it was there before.
func (a *Authority) Assign(ra RoleAssignment) (existed bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	exists, err := a.principalExists(ra.PrincipalID)
	if err != nil {
		return false, err
	}
	if !exists {
		return false, ErrNoPrincipal
	}
	return a.assign(ra)
}

// assign is Assign under the lock, for a principal that exists.
func (a *Authority) assign(ra RoleAssignment) (existed bool, err error) {
	ra.Role, ra.PrincipalID = Role(strings.ToLower(string(ra.Role))), strings.ToLower(ra.PrincipalID)
	if old, ok := a.assignments[ra.key()]; ok {
		if old.Role != ra.Role || old.PrincipalID != ra.PrincipalID {
			return false, ErrChanged
		}
		return true, nil
	}
	for _, other := range a.assignments {
		if strings.EqualFold(other.Scope, ra.Scope) && other.Role == ra.Role && other.PrincipalID == ra.PrincipalID {
			return false, ErrAssigned
		}
	}
	if err := a.store.Put(roleAssignmentKind, ra.key(), ra); err != nil {
		return false, fmt.Errorf("assign role at %s: %w", ra.Scope, err)
	}
	a.assignments[ra.key()] = ra
	return false, nil
}

// Unassign removes an assignment and returns it; ok is false if there was none.
func (a *Authority) Unassign(id string) (ra RoleAssignment, ok bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	ra, ok = a.assignments[strings.ToLower(id)]
	if !ok {
		return ra, false, nil
	}
	err = a.dropAssignments(func(other RoleAssignment) bool { return other.key() == ra.key() })
	return ra, true, err
}

// dropAssignments removes those that match. The caller holds the lock.
func (a *Authority) dropAssignments(match func(RoleAssignment) bool) error {
	for key, ra := range a.assignments {
		if !match(ra) {
			continue
		}
		if err := a.store.Delete(roleAssignmentKind, key); err != nil {
			return err
		}
		delete(a.assignments, key)
	}
	return nil
}

// DropScope removes every assignment at and below a scope that is gone.
func (a *Authority) DropScope(scope string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.dropAssignments(func(ra RoleAssignment) bool { return Within(ra.Scope, scope) })
}

func ignoreNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
