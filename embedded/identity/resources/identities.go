package resources

import (
	"context"
	"errors"
	"net/http"
	"path"
	"regexp"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/identity"
	"frankenetes.dev/embedded/store"
)

// identityBody is an identity as ARM shows it.
type identityBody struct {
	ID         string             `json:"id"`
	Name       string             `json:"name"`
	Type       string             `json:"type"`
	Location   string             `json:"location"`
	Tags       map[string]string  `json:"tags,omitempty"`
	Properties identityProperties `json:"properties"`
}

type identityProperties struct {
	TenantID    string `json:"tenantId"`
	PrincipalID string `json:"principalId"`
	ClientID    string `json:"clientId"`
}

func (s *resources) show(u identity.UserAssigned) identityBody {
	return identityBody{
		ID: u.ID, Name: path.Base(u.ID), Type: identityType, Location: u.Location, Tags: u.Tags,
		Properties: identityProperties{TenantID: s.tenant, PrincipalID: u.PrincipalID, ClientID: u.ClientID},
	}
}

// identityRequest is the body of PUT and PATCH.
type identityRequest struct {
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags"`
}

var identityName = regexp.MustCompile(`^[A-Za-z0-9][-\w]{2,127}$`)

// find returns the identity that a request is about, or 404.
func (s *resources) find(r *arm.Request) (identity.UserAssigned, error) {
	u, err := s.authority.UserAssigned(r.Path())
	if errors.Is(err, store.ErrNotFound) {
		return u, arm.NotFound(identityType, r.Var("name"), r.Var("rg"))
	}
	return u, err
}

func (s *resources) putIdentity(_ context.Context, r *arm.Request) (*arm.Response, error) {
	name := r.Var("name")
	var body identityRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	if !identityName.MatchString(name) {
		return nil, arm.BadRequest("InvalidParameter", "The name '%s' of the identity is invalid: it must have 3 to 128 letters, digits, "+
			"'-' and '_', and start with a letter or digit.", name)
	}
	if body.Location == "" {
		return nil, arm.BadRequest("LocationRequired", "The location property is required for this definition.")
	}
	if err := arm.CheckTags(body.Tags); err != nil {
		return nil, err
	}
	id := "/subscriptions/" + r.Var("sub") + "/resourceGroups/" + r.Var("rg") + "/providers/" + identityType + "/" + name
	u, existed, err := s.authority.PutUserAssigned(id, s.server.Location(body.Location), body.Tags)
	if err != nil {
		return nil, err
	}
	status := http.StatusCreated
	if existed {
		status = http.StatusOK
	}
	return &arm.Response{Status: status, Body: s.show(u)}, nil
}

func (s *resources) patchIdentity(_ context.Context, r *arm.Request) (*arm.Response, error) {
	var body identityRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	u, err := s.find(r)
	if err != nil {
		return nil, err
	}
	if body.Tags == nil {
		return &arm.Response{Status: http.StatusOK, Body: s.show(u)}, nil
	}
	if err := arm.CheckTags(body.Tags); err != nil {
		return nil, err
	}
	if u, _, err = s.authority.PutUserAssigned(u.ID, u.Location, body.Tags); err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: s.show(u)}, nil
}

func (s *resources) getIdentity(_ context.Context, r *arm.Request) (*arm.Response, error) {
	u, err := s.find(r)
	if err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: s.show(u)}, nil
}

func (s *resources) deleteIdentity(_ context.Context, r *arm.Request) (*arm.Response, error) {
	existed, err := s.authority.DeleteUserAssigned(r.Path())
	if err != nil {
		return nil, err
	}
	if !existed {
		return &arm.Response{Status: http.StatusNoContent}, nil
	}
	return &arm.Response{Status: http.StatusOK}, nil
}

// listIdentities lists those of a group or of the subscription that the
// principal may read.
func (s *resources) listIdentities(_ context.Context, r *arm.Request) (*arm.Response, error) {
	scope := "/subscriptions/" + r.Var("sub")
	if rg := r.Var("rg"); rg != "" {
		scope += "/resourceGroups/" + rg
	}
	all, err := s.authority.UserAssignedUnder(scope)
	if err != nil {
		return nil, err
	}
	list := arm.List[identityBody]{Value: []identityBody{}}
	for _, u := range all {
		if s.server.Allowed(r.Principal, identityType+"/read", u.ID) {
			list.Value = append(list.Value, s.show(u))
		}
	}
	return &arm.Response{Status: http.StatusOK, Body: list}, nil
}
