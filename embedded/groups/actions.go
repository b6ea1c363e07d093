package groups

import (
	"context"
	"errors"
	"net/http"
	"time"

	"frankenetes.dev/embedded/arm"
)

// stop kills the group's containers and keeps its definition, its name, and
// nothing else: its address is given back, and what its emptyDir volumes had is
// gone. A group that has ended stays as it is.
func (s *Service) stop(ctx context.Context, r *arm.Request) (*arm.Response, error) {
	return s.act(ctx, r, func(ctx context.Context, g *group) (*arm.Response, error) {
		d := g.live()
		if d == nil {
			return &arm.Response{Status: http.StatusNoContent}, nil
		}
		if err := settled(ctx, d); err != nil {
			return nil, err
		}
		// The record first: whoever is there when the daemon dies half way
		// through finishes what it says.
		if err := s.recordStop(g, d); err != nil {
			return nil, err
		}
		if err := s.halt(ctx, g, d.uid); err != nil {
			return nil, err
		}
		s.ledger.idle(g.key)
		if name := d.group.fqdn(); name != "" {
			s.options.Zone.Remove(name)
		}
		return &arm.Response{Status: http.StatusNoContent}, s.engine.removeLogs(d.uid)
	})
}

// recordStop puts it on record that the group is stopped, with the state that
// its containers have when it is.
func (s *Service) recordStop(g *group, d *deployment) error {
	result := d.status.snapshot()
	result.IP = ""
	result.end(exitKilled)
	g.mu.Lock()
	defer g.mu.Unlock()
	next := g.record
	next.Stopped, next.Result = true, &result
	if err := s.options.Store.Put(kind, g.key, next); err != nil {
		return err
	}
	g.record = next
	return nil
}

// start deploys a stopped or ended group from its stored definition.
func (s *Service) start(ctx context.Context, r *arm.Request) (*arm.Response, error) {
	return s.act(ctx, r, func(ctx context.Context, g *group) (*arm.Response, error) {
		if g.live() != nil {
			return &arm.Response{Status: http.StatusNoContent}, nil
		}
		if err := s.ledger.start(g.key, g.definition()); err != nil {
			return nil, err
		}
		if err := s.redeploy(ctx, g, func(*record) {}); err != nil {
			return nil, err
		}
		return &arm.Response{Status: http.StatusAccepted, Header: s.arm.Async(r, g.provisioned)}, nil
	})
}

// restart runs all containers anew: in place if the group runs, otherwise as
// start does.
func (s *Service) restart(ctx context.Context, r *arm.Request) (*arm.Response, error) {
	return s.act(ctx, r, func(ctx context.Context, g *group) (*arm.Response, error) {
		err := errEnded
		if d := g.live(); d != nil {
			if err := settled(ctx, d); err != nil {
				return nil, err
			}
			err = s.restartInPlace(g, d)
		}
		if errors.Is(err, errEnded) {
			if err = s.ledger.start(g.key, g.definition()); err == nil {
				err = s.redeploy(ctx, g, func(*record) {})
			}
		}
		if err != nil {
			return nil, err
		}
		return &arm.Response{Status: http.StatusNoContent}, nil
	})
}

// settled waits until the group's deployment has come up or failed: what is in
// transition cannot be stopped.
func settled(ctx context.Context, d *deployment) error {
	return within(ctx, d, d.status.provisioned)
}

// finished waits until nothing is left of a group whose containers have all
// ended: before, what is to be done with it could not be told.
func finished(ctx context.Context, g *group) error {
	d := g.live()
	if d == nil || !d.hasEnded() {
		return nil
	}
	return within(ctx, d, d.done)
}

// within waits for something of a deployment, for as long as operations wait
// for each other.
func within(ctx context.Context, d *deployment, something <-chan struct{}) error {
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case <-something:
		return nil
	case <-d.done:
		return nil
	case <-wait.C:
		return transitioning(d.group.Name)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hasEnded reports whether every container has ended for good.
func (d *deployment) hasEnded() bool {
	state := groupState(d.group, d.status.snapshot())
	return state == succeeded || state == failed
}

// act runs an action with the group's lock, to its end even if the client goes away.
func (s *Service) act(ctx context.Context, r *arm.Request, do func(context.Context, *group) (*arm.Response, error)) (*arm.Response, error) {
	unlock, err := s.lock(ctx, r)
	if err != nil {
		return nil, err
	}
	defer unlock()
	g, err := s.lookup(r)
	if err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	if err := finished(ctx, g); err != nil {
		return nil, err
	}
	return do(ctx, g)
}
