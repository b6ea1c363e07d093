package arm

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
)

const (
	groupRead   = "Microsoft.Resources/subscriptions/resourceGroups/read"
	groupWrite  = "Microsoft.Resources/subscriptions/resourceGroups/write"
	groupDelete = "Microsoft.Resources/subscriptions/resourceGroups/delete"
)

func (s *Server) registerResourceGroups() {
	const one, all = "/subscriptions/{sub}/resourceGroups/{rg}", "/subscriptions/{sub}/resourceGroups"
	s.Handle(http.MethodPut, one, groupWrite, s.putGroup)
	s.Handle(http.MethodPatch, one, groupWrite, s.patchGroup)
	s.Handle(http.MethodGet, one, groupRead, s.getGroup)
	s.Handle(http.MethodHead, one, groupRead, s.headGroup)
	s.Handle(http.MethodDelete, one, groupDelete, s.deleteGroup)
	s.Handle(http.MethodGet, all, "", s.listGroups)
}

// groupRequest is the body of PUT and PATCH; what is absent is nil.
type groupRequest struct {
	Location  string             `json:"location"`
	ManagedBy *string            `json:"managedBy"`
	Tags      *map[string]string `json:"tags"`
}

func (s *Server) putGroup(_ context.Context, r *Request) (*Response, error) {
	sub, rg := r.Var("sub"), r.Var("rg")
	var body groupRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	if err := checkGroupName(rg); err != nil {
		return nil, err
	}
	if body.Location == "" {
		return nil, BadRequest("LocationRequired", "The location property is required for this definition.")
	}
	s.groupsMu.Lock()
	defer s.groupsMu.Unlock()
	status := http.StatusOK
	group, err := s.groups.get(sub, rg)
	var absent *Error
	switch {
	case errors.As(err, &absent):
		status = http.StatusCreated
		group = resourceGroup{ID: "/subscriptions/" + s.opts.Subscription + "/resourceGroups/" + rg, Name: rg, Type: groupType,
			Location: s.Location(body.Location), Properties: groupProperties{succeeded}}
	case err != nil:
		return nil, err
	}
	if group.Properties.ProvisioningState == deleting {
		return nil, beingDeleted(rg)
	}
	if location := s.Location(body.Location); location != group.Location {
		return nil, Conflict("InvalidResourceGroupLocation",
			"Invalid resource group location '%s'. The Resource group already exists in location '%s'.", location, group.Location)
	}
	group.Tags = nil
	return s.saveGroup(sub, group, body, status)
}

func (s *Server) patchGroup(_ context.Context, r *Request) (*Response, error) {
	var body groupRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	s.groupsMu.Lock()
	defer s.groupsMu.Unlock()
	group, err := s.groups.get(r.Var("sub"), r.Var("rg"))
	if err != nil {
		return nil, err
	}
	if group.Properties.ProvisioningState == deleting {
		return nil, beingDeleted(group.Name)
	}
	return s.saveGroup(r.Var("sub"), group, body, http.StatusOK)
}

// saveGroup applies tags and owner of a request. The caller holds groupsMu.
func (s *Server) saveGroup(sub string, group resourceGroup, body groupRequest, status int) (*Response, error) {
	if body.Tags != nil {
		if err := CheckTags(*body.Tags); err != nil {
			return nil, err
		}
		group.Tags = *body.Tags
	}
	if body.ManagedBy != nil {
		group.ManagedBy = *body.ManagedBy
	}
	if err := s.groups.put(sub, group); err != nil {
		return nil, err
	}
	return &Response{Status: status, Body: group}, nil
}

func (s *Server) getGroup(_ context.Context, r *Request) (*Response, error) {
	group, err := s.groups.get(r.Var("sub"), r.Var("rg"))
	if err != nil {
		return nil, err
	}
	return &Response{Status: http.StatusOK, Body: group}, nil
}

func (s *Server) headGroup(_ context.Context, r *Request) (*Response, error) {
	if err := s.CheckResourceGroup(r.Var("sub"), r.Var("rg")); err != nil {
		return nil, err
	}
	return &Response{Status: http.StatusNoContent}, nil
}

// tagFilter is the only $filter that a list of resource groups takes.
var tagFilter = regexp.MustCompile(`(?i)^\s*tagName\s+eq\s+'([^']*)'(?:\s+and\s+tagValue\s+eq\s+'([^']*)')?\s*$`)

// listGroups lists the groups that the principal may read.
func (s *Server) listGroups(_ context.Context, r *Request) (*Response, error) {
	filter := r.Query("$filter")
	match := tagFilter.FindStringSubmatch(filter)
	if filter != "" && match == nil {
		return nil, BadRequest("InvalidFilterInQueryString", "Invalid $filter '%s' specified in the query string.", filter)
	}
	list := List[resourceGroup]{Value: []resourceGroup{}}
	err := s.groups.each(r.Var("sub"), func(group resourceGroup) error {
		if s.Allowed(r.Principal, groupRead, group.ID) && (match == nil || tagged(group.Tags, match[1], match[2])) {
			list.Value = append(list.Value, group)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &Response{Status: http.StatusOK, Body: list}, nil
}

// tagged says whether tags have a name, and that value unless it is empty.
func tagged(tags map[string]string, name, value string) bool {
	for n, v := range tags {
		if strings.EqualFold(n, name) && (value == "" || v == value) {
			return true
		}
	}
	return false
}
