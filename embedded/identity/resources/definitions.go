package resources

import (
	"context"
	"net/http"
	"regexp"
	"strings"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/identity"
)

// definitionBody is a role definition as ARM shows it.
type definitionBody struct {
	ID         string               `json:"id"`
	Name       string               `json:"name"`
	Type       string               `json:"type"`
	Properties definitionProperties `json:"properties"`
}

type definitionProperties struct {
	RoleName         string           `json:"roleName"`
	Type             string           `json:"type"`
	Description      string           `json:"description"`
	AssignableScopes []string         `json:"assignableScopes"`
	Permissions      []rolePermission `json:"permissions"`
}

type rolePermission struct {
	Actions    []string `json:"actions"`
	NotActions []string `json:"notActions"`
}

func showDefinition(scope string, role identity.Role) definitionBody {
	permission := rolePermission{Actions: []string{"*"}, NotActions: []string{}}
	description := "May do everything, assign roles included."
	switch role {
	case identity.Contributor:
		description = "May do everything but assign roles."
		permission.NotActions = []string{"Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write",
			"Microsoft.Authorization/*/Action"}
	case identity.Reader:
		description = "May see everything but secrets, and change nothing."
		permission.Actions = []string{"*/read"}
	}
	return definitionBody{
		ID: definitionID(scope, role), Name: string(role), Type: "Microsoft.Authorization/roleDefinitions",
		Properties: definitionProperties{
			RoleName: role.Name(), Type: "BuiltInRole", Description: description,
			AssignableScopes: []string{"/"}, Permissions: []rolePermission{permission},
		},
	}
}

func (s *resources) getDefinition(_ context.Context, r *arm.Request) (*arm.Response, error) {
	role := identity.Role(strings.ToLower(r.Var("name")))
	if role.Name() == "" {
		return nil, &arm.Error{Status: http.StatusNotFound, Code: "RoleDefinitionDoesNotExist",
			Message: "The specified role definition with ID '" + r.Var("name") + "' does not exist."}
	}
	return &arm.Response{Status: http.StatusOK, Body: showDefinition(r.Var("scope"), role)}, nil
}

var roleNameFilter = regexp.MustCompile(`(?i)roleName\s+eq\s+'([^']*)'`)

// listDefinitions lists the roles, or the one whose name a filter asks for.
func (s *resources) listDefinitions(_ context.Context, r *arm.Request) (*arm.Response, error) {
	match := roleNameFilter.FindStringSubmatch(r.Query("$filter"))
	list := arm.List[definitionBody]{Value: []definitionBody{}}
	for _, role := range identity.Roles() {
		if match == nil || strings.EqualFold(match[1], role.Name()) {
			list.Value = append(list.Value, showDefinition(r.Var("scope"), role))
		}
	}
	return &arm.Response{Status: http.StatusOK, Body: list}, nil
}
