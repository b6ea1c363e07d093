package groups

import (
	"context"
	"fmt"
	"slices"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// unknownReason is the runtime's reason for a run that was lost with the host.
const unknownReason = "Unknown"

// noteUnseen takes note of what had ended, while there was no daemon, in a
// group whose sandbox is lost: the runtime has kept it, and is about to be told
// to forget. It reports whether the whole group has ended, which is then on
// record.
func (s *Service) noteUnseen(ctx context.Context, g *group) (over bool, err error) {
	r := &g.record
	ends, err := s.engine.lastEnds(ctx, r.UID, s.cutShort)
	if err != nil {
		return false, fmt.Errorf("look how containers have ended: %w", err)
	}
	d := &deployment{engine: s.engine, key: g.key, uid: r.UID, group: &r.Group, floor: r.Floor, status: newStatus(&r.Group, now())}
	d.recall()
	for name, end := range ends {
		d.noteEnd(name, end)
	}
	switch {
	case d.hasEnded():
	case len(ends) > 0:
		return false, d.writeState() // for the deployment that comes
	default:
		return false, nil
	}
	result := d.status.snapshot()
	next := *r
	next.Result = &result
	if err := s.options.Store.Put(kind, g.key, next); err != nil {
		return false, err
	}
	g.record = next
	s.options.Log.Info("group had ended", "group", g.key, "state", groupState(&r.Group, result))
	return true, nil
}

// lastEnds returns how the last run of each container of a deployment ended, if
// it did so by itself. What an earlier daemon had begun to end at a time did not.
func (e *engine) lastEnds(ctx context.Context, uid string, cutShort time.Time) (map[string]*runtimeapi.ContainerStatus, error) {
	list, err := e.cri.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{LabelSelector: map[string]string{labelUID: uid}}})
	if err != nil {
		return nil, err
	}
	// The last one of each container is what stays in the map.
	slices.SortFunc(list.Containers, func(a, b *runtimeapi.Container) int { return int(a.Metadata.Attempt) - int(b.Metadata.Attempt) })
	last := map[string]*runtimeapi.ContainerStatus{}
	for _, c := range list.Containers {
		name := c.Labels[labelContainer]
		delete(last, name)
		if c.State != runtimeapi.ContainerState_CONTAINER_EXITED {
			continue
		}
		r, err := e.cri.ContainerStatus(ctx, &runtimeapi.ContainerStatusRequest{ContainerId: c.Id})
		if err != nil {
			return nil, err
		}
		if r.Status.Reason != unknownReason && !neverBegan(r.Status) && !wasEnded(r.Status, cutShort) {
			last[name] = r.Status
		}
	}
	return last, nil
}

// noteEnd notes how a container has ended, unless that is known or does not
// count any more.
func (d *deployment) noteEnd(name string, end *runtimeapi.ContainerStatus) {
	policy := d.group.Properties.RestartPolicy
	for _, c := range d.group.Properties.InitContainers {
		if c.Name == name {
			policy = initPolicy(policy)
		}
	}
	d.status.update(name, func(p *progress) {
		attempt := end.Metadata.Attempt
		if p.Final || attempt < p.Attempt || attempt < d.floor[name] {
			return
		}
		p.ID, p.Attempt, p.Restarts = end.Id, attempt, int32(attempt)
		p.Current = ended(time.Unix(0, end.StartedAt).UTC(), time.Unix(0, end.FinishedAt).UTC(), end.ExitCode, end.Reason)
		p.Started, p.Final = true, !restarts(policy, end.ExitCode)
	})
}
