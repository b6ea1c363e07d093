package groups

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// sweep removes, side by side, what is left of groups that are no more.
func (s *Service) sweep(ctx context.Context, wanted, inRuntime map[string]bool) error {
	uids, err := s.engine.leftovers(wanted)
	if err != nil {
		return err
	}
	for uid := range inRuntime {
		if !wanted[uid] && !slices.Contains(uids, uid) {
			uids = append(uids, uid)
		}
	}
	var work errgroup.Group
	for _, uid := range uids {
		work.Go(func() error {
			return errors.Join(s.engine.removeDeployment(ctx, uid, 0), s.engine.removeLogs(uid))
		})
	}
	return work.Wait()
}

// The times between two looks at the runtime for what belongs to no group
// double from the first to the last, and stay so.
const (
	sweepSoon  = time.Second
	sweepEvery = time.Minute
)

// keepSweeping removes sandboxes that nobody has, until ctx is done. What a
// daemon was making when it died comes to be in the runtime at some time after
// that, perhaps after the next daemon has looked; and what the runtime could
// not remove the first time it can perhaps later.
func (s *Service) keepSweeping(ctx context.Context) {
	for wait := sweepSoon; sleep(ctx, wait); wait = min(2*wait, sweepEvery) {
		if err := s.sweepStrays(ctx); err != nil && ctx.Err() == nil {
			s.options.Log.Warn("remains of groups are not removed", "error", err)
		}
	}
}

// sweepStrays looks once.
func (s *Service) sweepStrays(ctx context.Context) error {
	sandboxes, err := s.engine.cri.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return fmt.Errorf("list sandboxes: %w", err)
	}
	var errs []error
	for _, sandbox := range sandboxes.Items {
		if sandbox.Labels[labelUID] != "" {
			errs = append(errs, s.sweepStray(ctx, sandbox))
		}
	}
	return errors.Join(errs...)
}

// sweepStray removes a sandbox if nobody has it. While an operation works on
// the group, that is not known.
func (s *Service) sweepStray(ctx context.Context, sandbox *runtimeapi.PodSandbox) error {
	key, uid := sandbox.Labels[labelGroup], sandbox.Labels[labelUID]
	unlock, err := s.locks.take(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	d := s.get(key).live()
	switch {
	case d == nil || d.uid != uid:
		err = errors.Join(s.engine.removeDeployment(ctx, uid, 0), s.removeLogsOf(key, uid))
	case d.has(sandbox):
		return nil
	default:
		err = s.engine.removeSandbox(ctx, sandbox.Id)
	}
	s.options.Log.Info("remains of a group are swept", "group", key, "sandbox", sandbox.Id, "error", err)
	return err
}

// has reports whether a sandbox is the deployment's own. While it makes one,
// that may be any which is ready.
func (d *deployment) has(sandbox *runtimeapi.PodSandbox) bool {
	own := d.sandboxID()
	return sandbox.Id == own || own == "" && sandbox.State == runtimeapi.PodSandboxState_SANDBOX_READY
}

// removeLogsOf removes the logs of a deployment, unless a group is still
// described by them.
func (s *Service) removeLogsOf(key, uid string) error {
	if g := s.get(key); g != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.record.UID == uid {
			return nil
		}
	}
	return s.engine.removeLogs(uid)
}
