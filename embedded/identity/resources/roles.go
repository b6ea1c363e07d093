package resources

import (
	"context"
	"errors"
	"net/http"
	"path"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/identity"
)

// assignmentBody is a role assignment as ARM shows it.
type assignmentBody struct {
	ID         string               `json:"id"`
	Name       string               `json:"name"`
	Type       string               `json:"type"`
	Properties assignmentProperties `json:"properties"`
}

type assignmentProperties struct {
	RoleDefinitionID string `json:"roleDefinitionId"`
	PrincipalID      string `json:"principalId"`
	PrincipalType    string `json:"principalType,omitempty"`
	Scope            string `json:"scope,omitempty"`
}

// definitionID returns the ARM id of a role in the subscription of a scope.
func definitionID(scope string, role identity.Role) string {
	sub := scopePattern.FindStringSubmatch(scope)
	if sub == nil {
		return "/providers/Microsoft.Authorization/roleDefinitions/" + string(role)
	}
	return "/subscriptions/" + sub[1] + "/providers/Microsoft.Authorization/roleDefinitions/" + string(role)
}

func showAssignment(ra identity.RoleAssignment) assignmentBody {
	return assignmentBody{ID: ra.ID(), Name: ra.Name, Type: roleType, Properties: assignmentProperties{
		RoleDefinitionID: definitionID(ra.Scope, ra.Role),
		PrincipalID:      ra.PrincipalID, PrincipalType: ra.PrincipalType, Scope: ra.Scope,
	}}
}

var scopePattern = regexp.MustCompile(`(?i)^/subscriptions/([^/]+)(?:/resourceGroups/([^/]+)(?:/providers/[^/]+/.+)?)?$`)

// checkScope says whether a scope is the subscription, or in a group that exists.
func (s *resources) checkScope(scope string) error {
	parts := scopePattern.FindStringSubmatch(scope)
	if parts == nil {
		return arm.BadRequest("InvalidScope", "The scope '%s' is no subscription, resource group or resource.", scope)
	}
	if parts[2] != "" {
		return s.server.CheckResourceGroup(parts[1], parts[2])
	}
	return nil
}

func (s *resources) putAssignment(_ context.Context, r *arm.Request) (*arm.Response, error) {
	var body assignmentBody
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	scope, name, p := r.Var("scope"), r.Var("name"), body.Properties
	if uuid.Validate(name) != nil || len(name) != 36 {
		return nil, arm.BadRequest("InvalidRoleAssignmentId",
			"The role assignment ID '%s' is not valid. The role assignment ID must be a GUID.", name)
	}
	if err := s.checkScope(scope); err != nil {
		return nil, err
	}
	role := identity.Role(strings.ToLower(path.Base(p.RoleDefinitionID)))
	if role.Name() == "" {
		return nil, arm.BadRequest("RoleDefinitionDoesNotExist", "The specified role definition with ID '%s' does not exist.", p.RoleDefinitionID)
	}
	if p.PrincipalType == "" {
		p.PrincipalType = "ServicePrincipal"
	}
	ra := identity.RoleAssignment{Scope: scope, Name: name, Role: role, PrincipalID: p.PrincipalID, PrincipalType: p.PrincipalType}
	existed, err := s.authority.Assign(ra)
	switch {
	case errors.Is(err, identity.ErrNoPrincipal):
		return nil, arm.BadRequest("PrincipalNotFound", "Principal '%s' does not exist in the directory '%s'.", p.PrincipalID, s.tenant)
	case errors.Is(err, identity.ErrAssigned):
		return nil, arm.Conflict("RoleAssignmentExists", "The role assignment already exists.")
	case errors.Is(err, identity.ErrChanged):
		return nil, arm.Conflict("RoleAssignmentUpdateNotPermitted",
			"Tenant ID, application ID, principal ID, and scope are not allowed to be updated.")
	case err != nil:
		return nil, err
	}
	status := http.StatusCreated
	if existed {
		status = http.StatusOK
	}
	stored, _ := s.authority.RoleAssignment(ra.ID())
	return &arm.Response{Status: status, Body: showAssignment(stored)}, nil
}

func (s *resources) getAssignment(_ context.Context, r *arm.Request) (*arm.Response, error) {
	ra, ok := s.authority.RoleAssignment(r.Path())
	if !ok {
		return nil, &arm.Error{Status: http.StatusNotFound, Code: "RoleAssignmentNotFound",
			Message: "The role assignment '" + r.Var("name") + "' is not found."}
	}
	return &arm.Response{Status: http.StatusOK, Body: showAssignment(ra)}, nil
}

func (s *resources) deleteAssignment(_ context.Context, r *arm.Request) (*arm.Response, error) {
	ra, ok, err := s.authority.Unassign(r.Path())
	if err != nil {
		return nil, err
	}
	if !ok {
		return &arm.Response{Status: http.StatusNoContent}, nil
	}
	return &arm.Response{Status: http.StatusOK, Body: showAssignment(ra)}, nil
}

// assignmentFilter is what a list of role assignments can be narrowed by.
var assignmentFilter = regexp.MustCompile(`(?i)^\s*(?:(atScope)\(\)|principalId\s+eq\s+'?([^']+?)'?|assignedTo\('([^']+)'\))\s*$`)

var conjunction = regexp.MustCompile(`(?i)\s+and\s+`)

// listAssignments lists those at, above and below a scope; atScope() leaves
// out those below.
func (s *resources) listAssignments(_ context.Context, r *arm.Request) (*arm.Response, error) {
	scope, atScope, principal := r.Var("scope"), false, ""
	if filter := r.Query("$filter"); filter != "" {
		for _, term := range conjunction.Split(filter, -1) {
			match := assignmentFilter.FindStringSubmatch(term)
			if match == nil {
				return nil, arm.BadRequest("UnsupportedFilterQuery", "The filter '%s' is not supported.", filter)
			}
			atScope = atScope || match[1] != ""
			principal += match[2] + match[3]
		}
	}
	list := arm.List[assignmentBody]{Value: []assignmentBody{}}
	for _, ra := range s.authority.RoleAssignments() {
		above, below := identity.Within(scope, ra.Scope), identity.Within(ra.Scope, scope)
		if (above || below && !atScope) && (principal == "" || strings.EqualFold(principal, ra.PrincipalID)) {
			list.Value = append(list.Value, showAssignment(ra))
		}
	}
	return &arm.Response{Status: http.StatusOK, Body: list}, nil
}
