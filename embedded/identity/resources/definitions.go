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
	Actions        []string `json:"actions"`
	NotActions     []string `json:"notActions"`
	DataActions    []string `json:"dataActions"`
	NotDataActions []string `json:"notDataActions"`
}

func showDefinition(scope string, d identity.Definition) definitionBody {
	list := func(patterns []string) []string { return append([]string{}, patterns...) } // [], never null
	return definitionBody{
		ID: definitionID(scope, d.Role), Name: string(d.Role), Type: "Microsoft.Authorization/roleDefinitions",
		Properties: definitionProperties{
			RoleName: d.Name, Type: "BuiltInRole", Description: d.Description, AssignableScopes: []string{"/"},
			Permissions: []rolePermission{{
				Actions: list(d.Actions), NotActions: list(d.NotActions), DataActions: list(d.DataActions), NotDataActions: []string{},
			}},
		},
	}
}

func (s *resources) getDefinition(_ context.Context, r *arm.Request) (*arm.Response, error) {
	d, ok := identity.Find(r.Var("name"))
	if !ok || !strings.EqualFold(string(d.Role), r.Var("name")) {
		return nil, &arm.Error{Status: http.StatusNotFound, Code: "RoleDefinitionDoesNotExist",
			Message: "The specified role definition with ID '" + r.Var("name") + "' does not exist."}
	}
	return &arm.Response{Status: http.StatusOK, Body: showDefinition(r.Var("scope"), d)}, nil
}

var roleNameFilter = regexp.MustCompile(`(?i)roleName\s+eq\s+'([^']*)'`)

// listDefinitions lists the roles, or the one whose name a filter asks for.
func (s *resources) listDefinitions(_ context.Context, r *arm.Request) (*arm.Response, error) {
	match := roleNameFilter.FindStringSubmatch(r.Query("$filter"))
	list := arm.List[definitionBody]{Value: []definitionBody{}}
	for _, d := range identity.Roles() {
		if match == nil || strings.EqualFold(match[1], d.Name) {
			list.Value = append(list.Value, showDefinition(r.Var("scope"), d))
		}
	}
	return &arm.Response{Status: http.StatusOK, Body: list}, nil
}
