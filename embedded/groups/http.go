package groups

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"frankenetes.dev/embedded/arm"
)

const (
	subscriptionPath = "/subscriptions/{sub}/providers/" + Type
	resourceGroup    = "/subscriptions/{sub}/resourceGroups/{rg}/providers/" + Type
	resource         = resourceGroup + "/{cg}"
	// patience is how long an operation waits for another one on the same
	// group, and a DELETE for its own end, before the client is told to come back.
	patience = 10 * time.Second
	// pageSize is how many groups a page of a list has at most.
	pageSize = 100
)

// Register adds the operations on container groups to a server.
func (s *Service) Register(a *arm.Server) {
	s.arm = a
	a.Handle(http.MethodGet, subscriptionPath, "", s.listAll) // what may be read of it
	a.Handle(http.MethodGet, resourceGroup, Type+"/read", s.listGroup)
	a.Handle(http.MethodGet, resource, Type+"/read", s.read)
	a.Handle(http.MethodPut, resource, Type+"/write", s.put)
	a.Handle(http.MethodPatch, resource, Type+"/write", s.patch)
	a.Handle(http.MethodDelete, resource, Type+"/delete", s.delete)
	a.Handle(http.MethodPost, resource+"/stop", Type+"/stop/action", s.stop)
	a.Handle(http.MethodPost, resource+"/start", Type+"/start/action", s.start)
	a.Handle(http.MethodPost, resource+"/restart", Type+"/restart/action", s.restart)
	a.Handle(http.MethodGet, resource+"/containers/{c}/logs", Type+"/containers/logs/read", s.logs)
	a.Handle(http.MethodPost, resource+"/containers/{c}/exec", Type+"/containers/exec/action", s.exec)
	a.Handle(http.MethodPost, resource+"/containers/{c}/attach", Type+"/containers/attach/action", s.attach)
	a.Handle(http.MethodGet, resource+"/outboundNetworkDependenciesEndpoints", Type+"/outboundNetworkDependenciesEndpoints/read", s.outbound)
	s.registerLocations(a)
	a.OnDeleteResourceGroup(s.deleteResourceGroup)
}

// keyOf returns the key of the group that a request is about.
func keyOf(r *arm.Request) string { return groupKey(r.Var("sub"), r.Var("rg"), r.Var("cg")) }

func notFound(r *arm.Request) error { return arm.NotFound(Type, r.Var("cg"), r.Var("rg")) }

// lookup returns the group that a request is about.
func (s *Service) lookup(r *arm.Request) (*group, error) {
	if g := s.get(keyOf(r)); g != nil {
		return g, nil
	}
	if err := s.arm.CheckResourceGroup(r.Var("sub"), r.Var("rg")); err != nil {
		return nil, err
	}
	return nil, notFound(r)
}

// lock takes the group's lock for a request.
func (s *Service) lock(ctx context.Context, r *arm.Request) (func(), error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	unlock, err := s.locks.take(ctx, keyOf(r))
	if err != nil {
		return nil, transitioning(r.Var("cg"))
	}
	return unlock, nil
}

func transitioning(name string) error {
	e := arm.Conflict("ContainerGroupTransitioning", "The container group '%s' is still transitioning, please retry later.", name)
	e.RetryAfter = time.Second
	return e
}

func (s *Service) read(_ context.Context, r *arm.Request) (*arm.Response, error) {
	g, err := s.lookup(r)
	if err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: g.view(false)}, nil
}

func (s *Service) listAll(_ context.Context, r *arm.Request) (*arm.Response, error) {
	return s.listed(r, keysOf(r.Var("sub"), ""))
}

func (s *Service) listGroup(_ context.Context, r *arm.Request) (*arm.Response, error) {
	if err := s.arm.CheckResourceGroup(r.Var("sub"), r.Var("rg")); err != nil {
		return nil, err
	}
	return s.listed(r, keysOf(r.Var("sub"), r.Var("rg")))
}

// listed answers a list operation, which carries no instance views and no
// groups that the client may not read.
func (s *Service) listed(r *arm.Request, prefix string) (*arm.Response, error) {
	readable := slices.DeleteFunc(s.list(prefix), func(g *group) bool { return !s.arm.Allowed(r.Principal, Type+"/read", g.key) })
	page, err := arm.Page(r, pageSize, readable, func(g *group) string { return g.key })
	if err != nil {
		return nil, err
	}
	views := arm.List[*Group]{Value: []*Group{}, NextLink: page.NextLink}
	for _, g := range page.Value {
		views.Value = append(views.Value, g.view(true))
	}
	return &arm.Response{Status: http.StatusOK, Body: views}, nil
}

// view returns the group as clients see it.
func (g *group) view(listed bool) *Group {
	g.mu.Lock()
	defer g.mu.Unlock()
	return view(&g.record.Group, g.snapshot(), g.record.Stopped, listed)
}

// definition returns what the group is made of, with its secrets, or nil of
// no group. It must not be changed.
func (g *group) definition() *Group {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	spec := g.record.Group
	return &spec
}

// snapshot returns the state of the group, whose mutex the caller holds.
func (g *group) snapshot() snapshot {
	switch {
	case g.deployment != nil:
		return g.deployment.status.snapshot()
	case g.record.Result != nil:
		return *g.record.Result
	default:
		return newStatus(&g.record.Group, g.record.Created).snapshot()
	}
}

// patch replaces the tags; nothing else can be patched.
func (s *Service) patch(ctx context.Context, r *arm.Request) (*arm.Response, error) {
	var body struct {
		Tags map[string]string `json:"tags"`
	}
	if err := decode(r.Body, &body); err != nil {
		return nil, err
	}
	unlock, err := s.lock(ctx, r)
	if err != nil {
		return nil, err
	}
	defer unlock()
	g, err := s.lookup(r)
	if err != nil {
		return nil, err
	}
	if body.Tags != nil {
		if err := s.retag(g, body.Tags); err != nil {
			return nil, err
		}
	}
	return &arm.Response{Status: http.StatusOK, Body: g.view(false)}, nil
}

// retag gives the group new tags, and the ports that they ask for.
func (s *Service) retag(g *group, tags map[string]string) error {
	before := g.definition()
	check := validator{group: &Group{Name: before.Name, Tags: tags}}
	if err := check.checkTags(); err != nil {
		return err
	}
	if err := s.publish(g, tags); err != nil {
		return err
	}
	g.mu.Lock()
	next := g.record
	next.Group.Tags = tags
	err := s.options.Store.Put(kind, g.key, next)
	if err == nil {
		g.record = next
	}
	g.mu.Unlock()
	if err != nil {
		err = errors.Join(err, s.publish(g, before.Tags))
	}
	return err
}

// delete kills the group and removes all that there is of it. It answers when
// that is done, or after a while with where to ask.
func (s *Service) delete(ctx context.Context, r *arm.Request) (*arm.Response, error) {
	unlock, err := s.lock(ctx, r)
	if err != nil {
		return nil, err
	}
	g := s.get(keyOf(r))
	if g == nil {
		unlock()
		return &arm.Response{Status: http.StatusNoContent}, nil
	}
	if err := s.ledger.delete(); err != nil {
		unlock()
		return nil, err
	}
	last := g.view(false)
	done := make(chan error, 1)
	s.running.Go(func() {
		defer unlock()
		done <- s.remove(context.WithoutCancel(ctx), g)
	})
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case err := <-done:
		if err != nil {
			return nil, err
		}
		return &arm.Response{Status: http.StatusOK, Body: last}, nil
	case <-wait.C:
	}
	header := s.arm.Async(r, func(ctx context.Context) error {
		select {
		case err := <-done:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return &arm.Response{Status: http.StatusAccepted, Header: header}, nil
}

// deleteResourceGroup removes every group of a resource group, side by side.
func (s *Service) deleteResourceGroup(ctx context.Context, sub, rg string) error {
	var work errgroup.Group
	for _, g := range s.list(keysOf(sub, rg)) {
		work.Go(func() error {
			unlock, err := s.locks.take(ctx, g.key)
			if err != nil {
				return err
			}
			defer unlock()
			if s.get(g.key) != g {
				return nil // deleted meanwhile
			}
			return s.remove(context.WithoutCancel(ctx), g)
		})
	}
	return work.Wait()
}

// live returns the group's deployment, or nil when it is stopped, at its end,
// or not there at all.
func (g *group) live() *deployment {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.deployment
}

// containerOf returns the name of the group's container that a path names.
func containerOf(g *Group, name string) (string, bool) {
	for _, list := range [][]Container{g.Properties.InitContainers, g.Properties.Containers} {
		for _, c := range list {
			if strings.EqualFold(c.Name, name) {
				return c.Name, true
			}
		}
	}
	return "", false
}
