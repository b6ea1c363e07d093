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
	return a.hasRole(p, scope, func(d Definition) bool { return d.allows(action) })
}

// AllowedData says whether a principal may do an action on the data that a
// resource holds, such as the files of a share.
func (a *Authority) AllowedData(p Principal, action, scope string) bool {
	return a.hasRole(p, scope, func(d Definition) bool { return d.allowsData(action) })
}

// hasRole says whether a principal has a role at a scope that will do. Who has
// none may do nothing.
func (a *Authority) hasRole(p Principal, scope string, will func(Definition) bool) bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, ra := range a.assignments {
		if strings.EqualFold(ra.PrincipalID, p.ObjectID) && Within(scope, ra.Scope) && will(a.definitions[ra.Role]) {
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
