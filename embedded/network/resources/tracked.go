package resources

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/store"
)

// resource is what the records of all tracked resources have.
type resource struct {
	// ID is the ARM id, in the case in which the resource was created.
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags,omitempty"`
	// Etag changes with every change, GUID never.
	Etag string `json:"etag"`
	GUID string `json:"guid"`
}

// key is the ARM id in lower case.
func (r resource) key() string { return strings.ToLower(r.ID) }

// body is a resource as ARM shows it.
type body struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Etag       string            `json:"etag,omitempty"`
	SKU        any               `json:"sku,omitempty"`
	Zones      []string          `json:"zones,omitempty"`
	Properties any               `json:"properties"`
}

func (r resource) body(kind, etag string, properties any) body {
	return body{ID: r.ID, Name: r.Name, Type: kind, Location: r.Location, Tags: r.Tags, Etag: etag, Properties: properties}
}

// reference names another resource.
type reference struct {
	ID string `json:"id"`
}

// weak is how the etags of Microsoft.Network look, but for those of DNS.
func weak(etag string) string { return `W/"` + etag + `"` }

// The provisioning states that are ever shown.
const (
	succeeded = "Succeeded"
	updating  = "Updating" // while a PUT is polled
)

// common is what the body of every PUT of a tracked resource has.
type common struct {
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags"`
}

// tracked is the table of a type of tracked resources, and what its requests
// have in common with those of the others.
type tracked[T any] struct {
	*table[T]
	server *arm.Server
	kind   string
	// location is the only one that there is.
	location string
	// valid returns what is wrong with a name.
	valid func(name string) error
	// of returns the part of a record that all types have.
	of func(*T) *resource
	// show returns what ARM shows of a record in a provisioning state.
	show func(v T, state string) body
}

func (t *tracked[T]) open(st *store.Store) (err error) {
	t.table, err = openTable[T](st, t.kind)
	return err
}

// register adds the routes that are the same for all types at the path of a
// resource, whose last variable is {name}.
func (t *tracked[T]) register(s *Service, path string) {
	t.server.Handle(http.MethodGet, path, t.kind+"/read", t.answer)
	t.server.Handle(http.MethodPatch, path, t.kind+"/write", s.writer(t.patch))
}

// registerTop adds the routes of a type whose resources are part of no other
// ones, lists included, and returns the path of a resource.
func (t *tracked[T]) registerTop(s *Service) string {
	provider := "/providers/" + t.kind
	group := "/subscriptions/{sub}/resourceGroups/{rg}" + provider
	one := group + "/{name}"
	t.register(s, one)
	t.server.Handle(http.MethodGet, group, t.kind+"/read", t.list)
	t.server.Handle(http.MethodGet, "/subscriptions/{sub}"+provider, "", t.list)
	return one
}

// writer makes a handler of one that changes something.
func (s *Service) writer(h func(r *arm.Request) (*arm.Response, error)) arm.Handler {
	return func(_ context.Context, r *arm.Request) (response *arm.Response, err error) {
		err = s.exclusively(func() error {
			response, err = h(r)
			return err
		})
		return response, err
	}
}

// find returns the resource that a request is about, or 404.
func (t *tracked[T]) find(r *arm.Request) (T, error) {
	v, ok := t.get(r.Path())
	if !ok {
		return v, arm.NotFound(t.kind, r.Var("name"), r.Var("rg"))
	}
	return v, nil
}

func (t *tracked[T]) answer(_ context.Context, r *arm.Request) (*arm.Response, error) {
	v, err := t.find(r)
	if err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: t.show(v, succeeded)}, nil
}

// pageSize is how many resources a page of a list has, as with Azure's DNS.
const pageSize = 100

// list lists the resources of a request's scope that its principal may read.
func (t *tracked[T]) list(_ context.Context, r *arm.Request) (*arm.Response, error) {
	var bodies []body
	for _, v := range t.within(scopeOf(r)) {
		if t.server.Allowed(r.Principal, t.kind+"/read", t.of(&v).ID) {
			bodies = append(bodies, t.show(v, succeeded))
		}
	}
	return page(r, bodies)
}

// scopeOf returns the subscription, resource group or parent that a list is of.
func scopeOf(r *arm.Request) string {
	scope := "/subscriptions/" + r.Var("sub")
	if rg := r.Var("rg"); rg != "" {
		scope += "/resourceGroups/" + rg
	}
	if zone := r.Var("zone"); zone != "" {
		scope += "/providers/" + zoneType + "/" + zone
	}
	return scope
}

func page(r *arm.Request, bodies []body) (*arm.Response, error) {
	list, err := arm.Page(r, pageSize, bodies, func(b body) string { return strings.ToLower(b.ID) })
	if err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: list}, nil
}

// patch replaces the tags, which is all that a PATCH changes.
func (t *tracked[T]) patch(r *arm.Request) (*arm.Response, error) {
	var request struct {
		Tags map[string]string `json:"tags"`
	}
	if err := r.Decode(&request); err != nil {
		return nil, err
	}
	v, err := t.find(r)
	if err != nil {
		return nil, err
	}
	own := t.of(&v)
	if err := condition(r, own.Etag, true); err != nil {
		return nil, err
	}
	if request.Tags != nil {
		if err := arm.CheckTags(request.Tags); err != nil {
			return nil, err
		}
		own.Tags, own.Etag = request.Tags, uuid.NewString()
		if err := t.put(own.ID, v); err != nil {
			return nil, err
		}
	}
	return &arm.Response{Status: http.StatusOK, Body: t.show(v, succeeded)}, nil
}

// begin returns the record that a PUT changes, or a new one with the ARM id
// given, once it is known that the request may change it.
func (t *tracked[T]) begin(r *arm.Request, id, name string, request common) (v T, existed bool, err error) {
	if err := t.valid(name); err != nil {
		return v, false, err
	}
	if err := t.checkCommon(request); err != nil {
		return v, false, err
	}
	v, existed = t.get(id)
	own := t.of(&v)
	if err := condition(r, own.Etag, existed); err != nil {
		return v, existed, err
	}
	if !existed {
		*own = resource{ID: id, Name: name, Location: t.location, GUID: uuid.NewString()}
	}
	own.Tags, own.Etag = request.Tags, uuid.NewString()
	return v, existed, nil
}

func (t *tracked[T]) checkCommon(request common) error {
	if request.Location == "" {
		return arm.BadRequest("LocationRequired", "The location property is required for this definition.")
	}
	if location := t.server.Location(request.Location); location != t.location {
		return arm.BadRequest("LocationNotAvailableForResourceType",
			"The provided location '%s' is not available for resource type '%s'. List of available regions for the resource type is '%s'.",
			location, t.kind, t.location)
	}
	return arm.CheckTags(request.Tags)
}

// finish stores what a PUT has made and answers it.
func (t *tracked[T]) finish(r *arm.Request, v T, existed bool) (*arm.Response, error) {
	if err := t.put(t.of(&v).ID, v); err != nil {
		return nil, err
	}
	return made(t.server, r, existed, t.show(v, updating)), nil
}

// made answers a PUT. What its client polls has ended already.
func made(server *arm.Server, r *arm.Request, existed bool, b body) *arm.Response {
	status := http.StatusCreated
	if existed {
		status = http.StatusOK
	}
	return &arm.Response{Status: status, Header: server.Async(r, func(context.Context) error { return nil }), Body: b}
}

// deleted answers a DELETE.
func deleted(existed bool) *arm.Response {
	if existed {
		return &arm.Response{Status: http.StatusOK}
	}
	return &arm.Response{Status: http.StatusNoContent}
}

// groupID returns the ARM id of a resource group, in whose case those of new
// resources are written.
func groupID(r *arm.Request) string {
	return "/subscriptions/" + r.Var("sub") + "/resourceGroups/" + r.Var("rg")
}

// newID returns the ARM id of a resource in the resource group of a request.
func newID(r *arm.Request, kind, name string) string {
	return groupID(r) + "/providers/" + kind + "/" + name
}
