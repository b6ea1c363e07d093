package arm

import (
	"context"
	"net/http"
	"strings"
)

func (s *Server) registerSubscriptions() {
	s.Handle(http.MethodGet, "/subscriptions", "", s.listSubscriptions)
	s.Handle(http.MethodGet, "/subscriptions/{sub}", "", s.getSubscription)
	s.Handle(http.MethodGet, "/subscriptions/{sub}/locations", "", s.listLocations)
	s.Handle(http.MethodGet, "/tenants", "", s.listTenants)
}

// isPath says whether a path has exactly these segments, in any case.
func isPath(path []string, want ...string) bool {
	return strings.EqualFold(strings.Join(path, "/"), strings.Join(want, "/"))
}

// login returns the authority's base URL for a client that reaches ARM at base.
func (s *Server) login(base string) string {
	if s.opts.Login != "" {
		return strings.TrimSuffix(s.opts.Login, "/")
	}
	return base
}

// endpoints answers, to anyone, how to sign in.
func (s *Server) endpoints(base string) *Response {
	return &Response{Status: http.StatusOK, Body: map[string]any{
		"name":            "local",
		"resourceManager": base,
		"authentication": map[string]any{
			"loginEndpoint":    s.login(base),
			"audiences":        s.opts.Verifier.Audiences(),
			"tenant":           s.opts.Tenant,
			"identityProvider": "AAD",
		},
		"graphAudience": base, "graphEndpoint": base, "galleryEndpoint": base, "portalEndpoint": base, "portal": base,
		"gallery":  base,
		"suffixes": map[string]string{},
	}}
}

func (s *Server) subscription() map[string]any {
	return map[string]any{
		"id":             "/subscriptions/" + s.opts.Subscription,
		"subscriptionId": s.opts.Subscription,
		"displayName":    "Embedded cloud",
		"state":          "Enabled",
		"tenantId":       s.opts.Tenant,
		"subscriptionPolicies": map[string]string{
			"locationPlacementId": "Internal_2014-09-01", "quotaId": "Internal_2014-09-01", "spendingLimit": "Off",
		},
		"authorizationSource": "RoleBased",
		"managedByTenants":    []any{},
	}
}

// listSubscriptions shows the subscription to those with a role anywhere in it.
func (s *Server) listSubscriptions(_ context.Context, r *Request) (*Response, error) {
	list := List[map[string]any]{Value: []map[string]any{}}
	if s.opts.Verifier.HasRole(r.Principal) {
		list.Value = append(list.Value, s.subscription())
	}
	return &Response{Status: http.StatusOK, Body: list}, nil
}

// needRole refuses a principal that has no role anywhere in the subscription.
func (s *Server) needRole(r *Request, action string) error {
	if s.opts.Verifier.HasRole(r.Principal) {
		return nil
	}
	return Forbidden(r.Principal, action, "/subscriptions/"+s.opts.Subscription)
}

func (s *Server) getSubscription(_ context.Context, r *Request) (*Response, error) {
	if err := s.needRole(r, "Microsoft.Resources/subscriptions/read"); err != nil {
		return nil, err
	}
	return &Response{Status: http.StatusOK, Body: s.subscription()}, nil
}

func (s *Server) listLocations(_ context.Context, r *Request) (*Response, error) {
	if err := s.needRole(r, "Microsoft.Resources/subscriptions/locations/read"); err != nil {
		return nil, err
	}
	location := map[string]any{
		"id":   "/subscriptions/" + s.opts.Subscription + "/locations/" + s.opts.Location,
		"name": s.opts.Location, "type": "Region",
		"displayName": s.opts.Location, "regionalDisplayName": s.opts.Location,
		"metadata": map[string]any{"regionType": "Physical", "regionCategory": "Recommended"},
	}
	return &Response{Status: http.StatusOK, Body: List[map[string]any]{Value: []map[string]any{location}}}, nil
}

func (s *Server) listTenants(context.Context, *Request) (*Response, error) {
	tenant := map[string]any{
		"id": "/tenants/" + s.opts.Tenant, "tenantId": s.opts.Tenant,
		"displayName": "Embedded cloud", "tenantCategory": "Home",
	}
	return &Response{Status: http.StatusOK, Body: List[map[string]any]{Value: []map[string]any{tenant}}}, nil
}
