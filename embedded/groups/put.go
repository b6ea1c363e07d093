package groups

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"frankenetes.dev/embedded/arm"
)

// put creates a group or replaces it as a whole.
func (s *Service) put(ctx context.Context, r *arm.Request) (*arm.Response, error) {
	if err := s.arm.CheckResourceGroup(r.Var("sub"), r.Var("rg")); err != nil {
		return nil, err
	}
	spec, err := s.specOf(ctx, r)
	if err != nil {
		return nil, err
	}
	unlock, err := s.lock(ctx, r)
	if err != nil {
		return nil, err
	}
	defer unlock()
	// From here on the client may go away, the group is made.
	ctx = context.WithoutCancel(ctx)
	g, code := s.get(keyOf(r)), http.StatusOK
	if err := finished(ctx, g); err != nil {
		return nil, err
	}
	before := g.live()
	s.name(spec, g.definition(), r.Var("sub"), r.Var("rg"))
	if err := s.assignOwn(spec); err != nil {
		return nil, err
	}
	if g == nil {
		g, err = s.create(ctx, keyOf(r), spec)
		code = http.StatusCreated
	} else {
		err = s.update(ctx, g, spec)
	}
	err = errors.Join(err, s.takeBackOwn(spec.ID, s.get(keyOf(r)).definition()))
	if err != nil {
		return nil, err
	}
	body := g.view(false)
	if after := g.live(); after == nil || after != before {
		// However quick the deployment was, its outcome is for those who ask
		// the operation: a client takes a failure in this answer for a refusal.
		body.Properties.ProvisioningState = pending
	}
	return &arm.Response{Status: code, Header: s.arm.Async(r, g.provisioned), Body: body}, nil
}

// specOf reads and checks the group that a request carries.
func (s *Service) specOf(ctx context.Context, r *arm.Request) (*Group, error) {
	spec := &Group{}
	if err := decode(r.Body, spec); err != nil {
		return nil, err
	}
	spec.ID, spec.Name, spec.Type = groupID(r.Var("sub"), r.Var("rg"), r.Var("cg")), r.Var("cg"), ""
	spec.normalise()
	check := validator{group: spec, location: s.options.Location, registry: s.options.Registry}
	if err := check.check(); err != nil {
		return nil, err
	}
	if err := s.resolveSubnet(r, spec); err != nil {
		return nil, err
	}
	if err := s.resolveIdentities(r, spec); err != nil {
		return nil, err
	}
	return spec, s.checkImages(ctx, spec)
}

// create makes a group that is not there yet.
func (s *Service) create(ctx context.Context, key string, spec *Group) (*group, error) {
	hash, err := spec.hash()
	if err != nil {
		return nil, err
	}
	g := &group{key: key, record: record{Group: *spec, UID: newUID(), Hash: hash, Created: time.Now().UTC()}}
	err = firstError(
		func() error { return s.claim(key, spec) },
		func() error { return s.publish(g, spec.Tags) },
		func() error { return s.ledger.create(key, spec) },
		func() error { return s.joining(spec, func() error { s.add(g); return nil }) },
	)
	if err != nil {
		s.unclaim(key)
		g.published.close()
		return nil, err
	}
	if err := s.deployStored(ctx, g); err != nil {
		return nil, errors.Join(err, s.remove(ctx, g))
	}
	return g, nil
}

func (s *Service) add(g *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups[g.key] = g
}

// deployStored deploys the group while its record is written. Were the daemon
// to end before the record is on disk, the next one would remove what runs.
func (s *Service) deployStored(_ context.Context, g *group) error {
	if err := s.join(g); err != nil {
		return err
	}
	g.mu.Lock()
	written := g.record
	g.mu.Unlock()
	s.deploy(g, nil)
	return s.options.Store.Put(kind, g.key, written)
}

// update replaces a group. One that runs and stays the same, but for its tags,
// is not disturbed.
func (s *Service) update(ctx context.Context, g *group, spec *Group) error {
	hash, err := spec.hash()
	if err != nil {
		return err
	}
	live := g.live() != nil
	if live && hash == g.record.Hash {
		return s.retag(g, spec.Tags)
	}
	if live && !g.definition().canBecome(spec) {
		return invalid("InvalidContainerGroupUpdate", "The updates on container group '%s' are invalid. If you are going to update the os type, restart policy, network profile, "+
			"CPU, memory or GPU resources for a container group, you must delete it first and then create a new one.", spec.Name)
	}
	err = firstError(
		func() error { return s.ledger.create(g.key, spec) },
		func() error { return s.claim(g.key, spec) },
		func() error { return s.publish(g, spec.Tags) },
		func() error { return s.redeploy(ctx, g, func(r *record) { r.Group, r.Hash = *spec, hash }) },
	)
	if err != nil { // the group is what it was
		err = errors.Join(err, s.publish(g, g.definition().Tags))
	}
	if g.live() == nil {
		s.ledger.idle(g.key)
	}
	s.keepOnly(g.key, g.record.Group.fqdn())
	return err
}

// redeploy ends what runs of the group and deploys it anew. The record goes
// first: with it not written, nothing has changed.
func (s *Service) redeploy(ctx context.Context, g *group, change func(*record)) error {
	planned := record{Group: *g.definition()}
	change(&planned)
	var old record
	err := s.joining(&planned.Group, func() error {
		g.mu.Lock()
		defer g.mu.Unlock()
		old = g.record
		next := old
		change(&next)
		next.UID, next.Stopped, next.Result, next.Floor = newUID(), false, nil, nil
		err := s.options.Store.Put(kind, g.key, next)
		if err == nil {
			g.record = next
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("deploy container group %s anew: %w", g.key, err)
	}
	if err := s.halt(ctx, g, old.UID); err != nil {
		return err
	}
	return errors.Join(s.engine.removeLogs(old.UID), s.deployStored(ctx, g))
}

// halt ends what runs of the group, if anything does, or of the deployment with
// a uid, after that was put on record: it cannot stay, and so halt goes on
// trying while the runtime is away. It gives up when the service ends; the
// next one finds on record what is still to be done.
func (s *Service) halt(ctx context.Context, g *group, uid string) error {
	for pause := removePause; ; pause = min(2*pause, maxRemovePause) {
		err := s.haltOnce(ctx, g, uid)
		if err == nil {
			return nil
		}
		s.options.Log.Warn("container group is not ended yet", "group", g.key, "error", err)
		if !sleep(s.ctx, pause) {
			return fmt.Errorf("end container group %s: %w", g.key, err)
		}
	}
}

func (s *Service) haltOnce(ctx context.Context, g *group, uid string) error {
	d := g.live()
	var err error
	if d != nil {
		err = d.stop(ctx, 0)
	} else {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		err = s.engine.removeDeployment(ctx, uid, 0)
	}
	if err != nil {
		return err
	}
	s.leave(g.key, uid)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.deployment == d {
		g.deployment = nil
	}
	return nil
}

// remove forgets a group and ends it. The caller holds the group's lock. The
// record goes first: a daemon that dies half way through has deleted the group,
// and the next one takes down what is left of it.
func (s *Service) remove(ctx context.Context, g *group) error {
	uid, err := s.forget(g)
	if err != nil {
		return err
	}
	var work errgroup.Group
	work.Go(func() error { return s.halt(ctx, g, uid) })
	work.Go(func() error { return s.takeBackOwn(g.key, nil) })
	if err := work.Wait(); err != nil {
		return err
	}
	g.mu.Lock()
	port := g.published
	g.published = nil
	name := g.record.Group.fqdn()
	g.mu.Unlock()
	port.close()
	if name != "" {
		s.options.Zone.Remove(name)
	}
	s.unclaim(g.key)
	s.mu.Lock()
	delete(s.groups, g.key)
	s.mu.Unlock()
	s.ledger.gone(g.key)
	return s.engine.removeLogs(uid)
}

// forget removes the group's record, for good, and returns the name of its
// deployment.
func (s *Service) forget(g *group) (uid string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := s.options.Store.Delete(kind, g.key); err != nil {
		return "", fmt.Errorf("delete container group %s: %w", g.key, err)
	}
	g.removed = true
	return g.record.UID, nil
}

// provisioned waits until the deployment that is current has come up or failed.
func (g *group) provisioned(ctx context.Context) error {
	if d := g.live(); d != nil {
		select {
		case <-d.status.provisioned:
		case <-d.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		return outcome(d.status.snapshot())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return outcome(g.snapshot()) // it has ended already
}

func outcome(s snapshot) error {
	if s.Provisioning != succeeded {
		return &arm.Error{Status: http.StatusOK, Code: "Failed", Message: "The async operation failed."}
	}
	return nil
}
