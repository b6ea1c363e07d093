package arm

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// resourcesNamespace is the provider of resource groups and deployments.
const resourcesNamespace = "Microsoft.Resources"

// Resource is what all resources have, whatever provider they are of.
type Resource struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Location string            `json:"location,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	Kind     string            `json:"kind,omitempty"`
	SKU      any               `json:"sku,omitempty"`
	Plan     any               `json:"plan,omitempty"`
	Identity any               `json:"identity,omitempty"`
	// ProvisioningState is there only where the list was asked for it.
	ProvisioningState string `json:"provisioningState,omitempty"`

	Properties *resourceState `json:"properties,omitempty"`
}

// resourceState is the part of a resource's properties that a list can show.
type resourceState struct {
	ProvisioningState string `json:"provisioningState"`
}

// resourcesPage is how many resources a page of a list has.
const resourcesPage = 1000

func (s *Server) registerResources() {
	const group = "/subscriptions/{sub}/resourceGroups/{rg}"
	s.Handle(http.MethodGet, group+"/resources", "Microsoft.Resources/subscriptions/resourceGroups/resources/read", s.listResources)
	s.Handle(http.MethodGet, "/subscriptions/{sub}/resources", "", s.listResources)
	s.Handle(http.MethodPost, group+"/exportTemplate", groupRead, s.exportTemplate)
}

// listResources lists the resources of a group, or of all, that the principal
// may read and that a filter fits.
func (s *Server) listResources(_ context.Context, r *Request) (*Response, error) {
	fits, err := resourceFilter(r.Query("$filter"))
	if err != nil {
		return nil, err
	}
	all, err := s.allResources(r)
	if err != nil {
		return nil, err
	}
	state := strings.Contains(strings.ToLower(r.Query("$expand")), "provisioningstate")
	all = slices.DeleteFunc(all, func(resource Resource) bool {
		return !s.Allowed(r.Principal, resource.Type+"/read", resource.ID) || !fits(resource)
	})
	for i, resource := range all {
		if state && resource.Properties != nil {
			all[i].ProvisioningState = resource.Properties.ProvisioningState
		}
		all[i].Properties = nil
	}
	page, err := Page(r, resourcesPage, all, func(resource Resource) string { return strings.ToLower(resource.ID) })
	if err != nil {
		return nil, err
	}
	return &Response{Status: http.StatusOK, Body: page}, nil
}

// allResources asks every provider for what it has in a group, or in each.
func (s *Server) allResources(r *Request) ([]Resource, error) {
	sub := r.Var("sub")
	names := []string{r.Var("rg")}
	if names[0] == "" {
		names = nil
		err := s.groups.each(sub, func(group resourceGroup) error {
			names = append(names, group.Name)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var all []Resource
	for _, rg := range names {
		for _, rt := range s.resourceLists() {
			namespace, kind := provider(rt.segments)
			target := "/subscriptions/" + url.PathEscape(sub) + "/resourceGroups/" + url.PathEscape(rg) + "/providers/" + namespace + "/" + kind +
				"?api-version=" + url.QueryEscape(r.Query("api-version"))
			list, err := s.collect(r, rt, target)
			var gone *Error
			if errors.As(err, &gone) && gone.Status == http.StatusNotFound {
				continue // the group went while it was asked about
			}
			if err != nil {
				return nil, err
			}
			all = append(all, list...)
		}
	}
	return all, nil
}

// resourceLists are the routes that list a type of tracked resources in a group.
func (s *Server) resourceLists() []route {
	var lists []route
	for _, rt := range s.routes {
		namespace, kind := provider(rt.segments)
		plain := rt.method == http.MethodGet && !rt.scoped && len(rt.segments) == 7 && isVar(rt.segments[3]) &&
			strings.EqualFold(rt.segments[4], "providers") && !isVar(namespace) && !isVar(kind)
		// Deployments are a record of what was done, no resource.
		if plain && !strings.EqualFold(namespace, resourcesNamespace) {
			lists = append(lists, rt)
		}
	}
	return lists
}

// exportTemplate refuses: it is a convenience of Azure that nothing here needs.
func (s *Server) exportTemplate(context.Context, *Request) (*Response, error) {
	return nil, BadRequest("ExportTemplateNotSupported", "The embedded cloud does not export templates.")
}

var (
	conjunction = regexp.MustCompile(`(?i)\s+and\s+`)
	equality    = regexp.MustCompile(`(?i)^\s*(\w+)\s+eq\s+'((?:[^']|'')*)'\s*$`)
	substring   = regexp.MustCompile(`(?i)^\s*substringof\(\s*'((?:[^']|'')*)'\s*,\s*(\w+)\s*\)\s*$`)
)

// resourceFilter returns what a $filter means: comparisons joined by "and".
func resourceFilter(filter string) (func(Resource) bool, error) {
	if strings.TrimSpace(filter) == "" {
		return func(Resource) bool { return true }, nil
	}
	unsupported := BadRequest("InvalidFilterInQueryString", "Invalid $filter '%s' specified in the query string.", filter)
	var terms []func(Resource) bool
	tagName := ""
	for _, text := range conjunction.Split(filter, -1) {
		compare, match := strings.EqualFold, equality.FindStringSubmatch(text)
		if match == nil {
			if match = substring.FindStringSubmatch(text); match == nil {
				return nil, unsupported
			}
			match[1], match[2] = match[2], match[1]
			compare = func(have, want string) bool { return strings.Contains(strings.ToLower(have), strings.ToLower(want)) }
		}
		want := strings.ReplaceAll(match[2], "''", "'")
		switch field := strings.ToLower(match[1]); field {
		case "tagname":
			tagName = want
			terms = append(terms, func(r Resource) bool { return tagged(r.Tags, want, "") })
		case "tagvalue":
			name := tagName
			terms = append(terms, func(r Resource) bool { return tagged(r.Tags, name, want) })
		default:
			get := resourceField(field)
			if get == nil {
				return nil, unsupported
			}
			terms = append(terms, func(r Resource) bool { return compare(get(r), want) })
		}
	}
	return func(r Resource) bool {
		return !slices.ContainsFunc(terms, func(fits func(Resource) bool) bool { return !fits(r) })
	}, nil
}

// resourceField returns what reads a field by which resources can be told apart.
func resourceField(field string) func(Resource) string {
	switch field {
	case "name":
		return func(r Resource) string { return r.Name }
	case "location":
		return func(r Resource) string { return r.Location }
	case "resourcetype":
		return func(r Resource) string { return r.Type }
	case "resourcegroup":
		return func(r Resource) string {
			parts := strings.Split(r.ID, "/") // "", subscriptions, ID, resourceGroups, NAME, ...
			if len(parts) < 5 {
				return ""
			}
			return parts[4]
		}
	}
	return nil
}
