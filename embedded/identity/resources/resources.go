// Package resources puts what package identity knows into Azure Resource
// Manager: user-assigned identities, role assignments and role definitions.
// It stands apart because arm needs identity to know who asks.
package resources

import (
	"context"
	"net/http"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/identity"
)

const (
	identityType = "Microsoft.ManagedIdentity/userAssignedIdentities"
	roleType     = "Microsoft.Authorization/roleAssignments"
)

// resources answers the requests of both providers.
type resources struct {
	server    *arm.Server
	authority *identity.Authority
	tenant    string
}

// Register adds the routes to a server, and the deletion of what a resource
// group has of them.
func Register(server *arm.Server, authority *identity.Authority) {
	s := &resources{server: server, authority: authority, tenant: authority.Tenant()}
	s.registerIdentities()
	s.registerRoles()
	server.OnDeleteResourceGroup(s.deleteIdentities)
}

func (s *resources) registerIdentities() {
	const provider = "/providers/Microsoft.ManagedIdentity/userAssignedIdentities"
	const group = "/subscriptions/{sub}/resourceGroups/{rg}" + provider
	s.server.Handle(http.MethodPut, group+"/{name}", identityType+"/write", s.putIdentity)
	s.server.Handle(http.MethodPatch, group+"/{name}", identityType+"/write", s.patchIdentity)
	s.server.Handle(http.MethodGet, group+"/{name}", identityType+"/read", s.getIdentity)
	s.server.Handle(http.MethodDelete, group+"/{name}", identityType+"/delete", s.deleteIdentity)
	s.server.Handle(http.MethodGet, group, identityType+"/read", s.listIdentities)
	s.server.Handle(http.MethodGet, "/subscriptions/{sub}"+provider, "", s.listIdentities)
	s.server.Handle(http.MethodGet, "/{scope...}/providers/"+systemType+"/default", systemType+"/read", s.getSystemAssigned)
}

func (s *resources) registerRoles() {
	const provider = "/{scope...}/providers/Microsoft.Authorization/"
	s.server.Handle(http.MethodPut, provider+"roleAssignments/{name}", roleType+"/write", s.putAssignment)
	s.server.Handle(http.MethodGet, provider+"roleAssignments/{name}", roleType+"/read", s.getAssignment)
	s.server.Handle(http.MethodDelete, provider+"roleAssignments/{name}", roleType+"/delete", s.deleteAssignment)
	s.server.Handle(http.MethodGet, provider+"roleAssignments", roleType+"/read", s.listAssignments)
	const read = "Microsoft.Authorization/roleDefinitions/read"
	s.server.Handle(http.MethodGet, provider+"roleDefinitions/{name}", read, s.getDefinition)
	s.server.Handle(http.MethodGet, provider+"roleDefinitions", read, s.listDefinitions)
}

func (s *resources) deleteIdentities(_ context.Context, sub, rg string) error {
	list, err := s.authority.UserAssignedUnder("/subscriptions/" + sub + "/resourceGroups/" + rg)
	if err != nil {
		return err
	}
	for _, u := range list {
		if _, err := s.authority.DeleteUserAssigned(u.ID); err != nil {
			return err
		}
	}
	return nil
}
