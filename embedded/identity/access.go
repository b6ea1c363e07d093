package identity

import (
	"slices"
	"strings"
)

// Within says whether an ARM id is the scope or below it, in any case.
func Within(id, scope string) bool {
	id, scope = strings.ToLower(id), strings.ToLower(strings.TrimSuffix(scope, "/"))
	return id == scope || strings.HasPrefix(id, scope+"/")
}

// Allowed says whether a principal may do an action, such as
// "Microsoft.ContainerInstance/containerGroups/read", at a scope, an ARM id.
func (a *Authority) Allowed(p Principal, action, scope string) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, ra := range a.assignments {
		if strings.EqualFold(ra.PrincipalID, p.ObjectID) && Within(scope, ra.Scope) && ra.Role.allows(action) {
			return true
		}
	}
	return false
}

// HasRole says whether a principal has any role anywhere.
func (a *Authority) HasRole(p Principal) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, ra := range a.assignments {
		if strings.EqualFold(ra.PrincipalID, p.ObjectID) {
			return true
		}
	}
	return false
}

// RoleAssignment returns the assignment with an ARM id, in any case.
func (a *Authority) RoleAssignment(id string) (RoleAssignment, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	ra, ok := a.assignments[strings.ToLower(id)]
	return ra, ok
}

// RoleAssignments returns all assignments, by id.
func (a *Authority) RoleAssignments() []RoleAssignment {
	a.mu.RLock()
	defer a.mu.RUnlock()
	list := make([]RoleAssignment, 0, len(a.assignments))
	for _, ra := range a.assignments {
		list = append(list, ra)
	}
	slices.SortFunc(list, func(x, y RoleAssignment) int { return strings.Compare(x.key(), y.key()) })
	return list
}
