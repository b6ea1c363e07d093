package resources

import (
	"context"
	"errors"
	"net/http"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/store"
)

const systemType = "Microsoft.ManagedIdentity/identities"

// getSystemAssigned shows the identity that a resource has of its own, with
// the client id, which the resource itself does not tell.
func (s *resources) getSystemAssigned(_ context.Context, r *arm.Request) (*arm.Response, error) {
	own, err := s.authority.SystemAssigned(r.Var("scope"))
	if errors.Is(err, store.ErrNotFound) {
		return nil, &arm.Error{Status: http.StatusNotFound, Code: "ResourceNotFound",
			Message: "The resource '" + r.Var("scope") + "' has no identity of its own."}
	}
	if err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: identityBody{
		ID: own.ResourceID + "/providers/" + systemType + "/default", Name: "default", Type: systemType, Location: s.server.Location(""),
		Properties: identityProperties{TenantID: s.tenant, PrincipalID: own.PrincipalID, ClientID: own.ClientID},
	}}, nil
}
