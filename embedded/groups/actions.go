package groups

import (
	"context"
	"net/http"

	"frankenetes.dev/embedded/arm"
)

// stop kills the group's containers and keeps its definition.
func (s *Service) stop(ctx context.Context, r *arm.Request) (*arm.Response, error) {
	return s.act(ctx, r, func(ctx context.Context, g *group) (*arm.Response, error) {
		d := g.live()
		if d == nil {
			return &arm.Response{Status: http.StatusNoContent}, nil
		}
		if err := s.halt(ctx, g); err != nil {
			return nil, err
		}
		s.ledger.idle(g.key)
		d.status.lost(exitKilled)
		result := d.status.snapshot()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.record.Stopped, g.record.Result = true, &result
		if err := s.options.Store.Put(kind, g.key, g.record); err != nil {
			return nil, err
		}
		if name := d.group.fqdn(); name != "" {
			s.options.Zone.Remove(name)
		}
		return &arm.Response{Status: http.StatusNoContent}, s.engine.removeLogs(d.uid)
	})
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

// restart runs all containers anew.
func (s *Service) restart(ctx context.Context, r *arm.Request) (*arm.Response, error) {
	return s.act(ctx, r, func(ctx context.Context, g *group) (*arm.Response, error) {
		if err := s.ledger.start(g.key, g.definition()); err != nil {
			return nil, err
		}
		if err := s.redeploy(ctx, g, func(*record) {}); err != nil {
			return nil, err
		}
		return &arm.Response{Status: http.StatusNoContent}, nil
	})
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
	return do(context.WithoutCancel(ctx), g)
}
