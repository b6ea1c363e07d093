package arm

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// apiVersions are told to clients that choose one from a list; any other is
// accepted as well, since the value makes no difference here.
func apiVersions() []string {
	return []string{"2025-09-01", "2024-01-01", "2023-05-01", "2022-04-01", "2021-04-01", "2019-12-01"}
}

// providerBody is a resource provider as ARM shows it.
type providerBody struct {
	ID                 string         `json:"id"`
	Namespace          string         `json:"namespace"`
	RegistrationState  string         `json:"registrationState"`
	RegistrationPolicy string         `json:"registrationPolicy"`
	ResourceTypes      []resourceType `json:"resourceTypes"`
}

type resourceType struct {
	ResourceType string   `json:"resourceType"`
	Locations    []string `json:"locations"`
	APIVersions  []string `json:"apiVersions"`
}

func (s *Server) registerProviders() {
	const all, one = "/subscriptions/{sub}/providers", "/subscriptions/{sub}/providers/{ns}"
	s.Handle(http.MethodGet, all, "", s.listProviders)
	s.Handle(http.MethodGet, one, "", s.getProvider)
	const register = "Microsoft.Resources/subscriptions/providers/register/action"
	s.Handle(http.MethodPost, one+"/register", register, s.getProvider)
	s.Handle(http.MethodPost, one+"/unregister", register, s.getProvider)
}

// providers returns what the routes serve, by namespace.
func (s *Server) providers() []providerBody {
	types := map[string][]string{}
	for _, rt := range s.routes {
		namespace, kind := rt.resourceType()
		if namespace != "" && !slices.Contains(types[namespace], kind) {
			types[namespace] = append(types[namespace], kind)
		}
	}
	var all []providerBody
	for namespace, kinds := range types {
		p := providerBody{
			ID:        "/subscriptions/" + s.opts.Subscription + "/providers/" + namespace,
			Namespace: namespace, RegistrationState: "Registered", RegistrationPolicy: "RegistrationRequired",
		}
		slices.Sort(kinds)
		for _, kind := range kinds {
			p.ResourceTypes = append(p.ResourceTypes, resourceType{kind, []string{s.opts.Location}, apiVersions()})
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b providerBody) int { return strings.Compare(a.Namespace, b.Namespace) })
	return all
}

// resourceType returns the provider and type of a route that PUTs resources.
func (rt route) resourceType() (namespace, kind string) {
	if rt.method != http.MethodPut {
		return "", ""
	}
	namespace, kind = provider(rt.segments)
	if isVar(namespace) || slices.ContainsFunc(strings.Split(kind, "/"), isVar) {
		return "", ""
	}
	return namespace, kind
}

// provider returns the provider of a namespace, nil if there is none.
func (s *Server) provider(namespace string) *providerBody {
	for _, p := range s.providers() {
		if strings.EqualFold(p.Namespace, namespace) {
			return &p
		}
	}
	return nil
}

func (s *Server) listProviders(_ context.Context, r *Request) (*Response, error) {
	if err := s.needRole(r, "Microsoft.Resources/subscriptions/providers/read"); err != nil {
		return nil, err
	}
	return &Response{Status: http.StatusOK, Body: List[providerBody]{Value: s.providers()}}, nil
}

// getProvider shows a provider; all are registered, and stay so.
func (s *Server) getProvider(_ context.Context, r *Request) (*Response, error) {
	if err := s.needRole(r, "Microsoft.Resources/subscriptions/providers/read"); err != nil {
		return nil, err
	}
	p := s.provider(r.Var("ns"))
	if p == nil {
		return nil, &Error{Status: http.StatusNotFound, Code: "InvalidResourceNamespace",
			Message: "The resource namespace '" + r.Var("ns") + "' is invalid."}
	}
	return &Response{Status: http.StatusOK, Body: p}, nil
}
