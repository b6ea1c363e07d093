package arm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// deletionHook deletes what a provider has in a resource group.
type deletionHook = func(ctx context.Context, sub, rg string) error

// OnDeleteResourceGroup adds a hook that deletes what a provider has in a
// group. The hooks of a deletion run side by side; when all have succeeded the
// group disappears. A hook may be called again for what it has deleted already.
func (s *Server) OnDeleteResourceGroup(fn deletionHook) {
	s.hooks = append(s.hooks, fn)
}

// OnDeleteResourceGroupLast adds a hook that deletes what the resources of
// other providers stand on, such as networks: it is called when every hook of
// OnDeleteResourceGroup has succeeded, and not if one has failed.
func (s *Server) OnDeleteResourceGroupLast(fn deletionHook) {
	s.lastHooks = append(s.lastHooks, fn)
}

func beingDeleted(rg string) *Error {
	return Conflict("ResourceGroupBeingDeleted",
		"The resource group '%s' is in deprovisioning state and cannot perform this operation.", rg)
}

// isResourceGroup says whether the route is about a group itself.
func (rt route) isResourceGroup() bool {
	return strings.EqualFold(rt.segments[len(rt.segments)-1], "{rg}")
}

// enter lets a request into its resource group: the group must be there, and
// for a write it must not be going. Until leave is called a deletion of the
// group waits, so that no resource appears behind the back of its hooks.
func (s *Server) enter(method string, rt route, vars map[string]string) (leave func(), err error) {
	sub, rg := vars["sub"], vars["rg"]
	if rg == "" || rt.isResourceGroup() {
		return func() {}, nil
	}
	if err := s.open(method, sub, rg); err != nil || method == http.MethodGet || method == http.MethodHead {
		return func() {}, err
	}
	gate := s.gate(sub, rg)
	gate.RLock()
	if err := s.open(method, sub, rg); err != nil { // it may have begun to go
		gate.RUnlock()
		return nil, err
	}
	return gate.RUnlock, nil
}

// open returns why a resource group does not take a request now.
func (s *Server) open(method, sub, rg string) error {
	group, err := s.groups.get(sub, rg)
	if err != nil {
		return err
	}
	adds := method == http.MethodPut || method == http.MethodPatch || method == http.MethodPost
	if adds && group.Properties.ProvisioningState == deleting {
		return beingDeleted(rg)
	}
	return nil
}

// gate returns the lock that writers inside a group share and its deletion
// takes alone. Gates are never dropped: a name that comes back finds its own.
func (s *Server) gate(sub, rg string) *sync.RWMutex {
	gate, _ := s.gates.LoadOrStore(groupKey(sub, rg), new(sync.RWMutex))
	return gate.(*sync.RWMutex)
}

// awaitWriters returns when every write that came before has left the group.
func (s *Server) awaitWriters(sub, rg string) {
	gate := s.gate(sub, rg)
	gate.Lock()
	defer gate.Unlock()
}

// deleteGroup starts the deletion of a group, or joins the one under way.
func (s *Server) deleteGroup(_ context.Context, r *Request) (*Response, error) {
	op, err := s.startDeletion(r.Principal.ObjectID, r.Var("sub"), r.Var("rg"))
	if err != nil {
		return nil, err
	}
	return &Response{Status: http.StatusAccepted, Header: s.location(r, op)}, nil
}

func (s *Server) startDeletion(owner, sub, rg string) (*operation, error) {
	s.groupsMu.Lock()
	defer s.groupsMu.Unlock()
	group, err := s.groups.get(sub, rg)
	if err != nil {
		return nil, err
	}
	if group.Properties.ProvisioningState != deleting {
		group.Properties.ProvisioningState = deleting
		if err := s.groups.put(sub, group); err != nil {
			return nil, err
		}
	}
	path := groupKey(sub, rg)
	return s.operations.join(owner, path, func(ctx context.Context) error {
		return s.cascade(ctx, sub, group)
	}), nil
}

// cascade deletes what is in a group and then the group. One that cannot be
// emptied is there again for another try, unless the daemon is ending.
func (s *Server) cascade(ctx context.Context, sub string, group resourceGroup) error {
	s.awaitWriters(sub, group.Name)
	err := runHooks(ctx, s.hooks, sub, group.Name)
	if err == nil {
		err = runHooks(ctx, s.lastHooks, sub, group.Name)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.groupsMu.Lock()
	defer s.groupsMu.Unlock()
	if err != nil {
		group.Properties.ProvisioningState = succeeded
		return errors.Join(fmt.Errorf("delete resource group %s: %w", group.Name, err), s.groups.put(sub, group))
	}
	if err := s.opts.Verifier.DropScope(group.ID); err != nil {
		return fmt.Errorf("delete resource group %s: %w", group.Name, err)
	}
	return s.groups.delete(sub, group.Name)
}

// runHooks calls the hooks of a deletion side by side.
func runHooks(ctx context.Context, hooks []deletionHook, sub, rg string) error {
	errs := make([]error, len(hooks))
	var wg sync.WaitGroup
	for i, hook := range hooks {
		wg.Go(func() {
			errs[i] = run(ctx, func(ctx context.Context) error { return hook(ctx, sub, rg) })
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// DropRoles forgets the role assignments at a resource that was deleted, given
// its ARM id: one that is made later under the same name starts with none. For
// a resource that a DELETE names this is done already.
func (s *Server) DropRoles(scope string) {
	if err := s.opts.Verifier.DropScope(scope); err != nil {
		s.log.Error("drop role assignments", "scope", scope, "error", err)
	}
}

// ResumeDeletions goes on with the deletions that a daemon's end interrupted.
// Call it once, when every hook is registered.
func (s *Server) ResumeDeletions() error {
	return s.groups.each(s.opts.Subscription, func(group resourceGroup) error {
		if group.Properties.ProvisioningState != deleting {
			return nil
		}
		_, err := s.startDeletion("", s.opts.Subscription, group.Name)
		return err
	})
}
