package groups

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// errEnded says that a group came to its end by itself.
var errEnded = errors.New("the container group has ended")

// restartInPlace ends every container of a group that runs and runs them anew,
// init containers first, in the sandbox that they have: the address stays, and
// so does what is in the emptyDir volumes, as when a container restarts by
// itself. The restart is done as soon as the record has it, whoever then has
// to see to it, this daemon or the next.
func (s *Service) restartInPlace(g *group, d *deployment) error {
	d.release()
	if g.live() != d {
		return errEnded
	}
	var there *found
	if id := d.sandboxID(); id != "" {
		there = &found{sandbox: id, ids: d.ids}
	}
	err := s.raiseFloor(g, d.status.snapshot())
	s.deploy(g, there)
	return err
}

// raiseFloor puts it on record that the runs there are do not count any more.
func (s *Service) raiseFloor(g *group, now snapshot) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	next := g.record
	next.Floor = map[string]uint32{}
	for name, p := range now.Containers {
		next.Floor[name] = p.next()
	}
	if err := s.options.Store.Put(kind, g.key, next); err != nil {
		return fmt.Errorf("restart container group %s: %w", g.key, err)
	}
	g.record = next
	return nil
}

// list asks the runtime for the sandbox's containers.
func (f *found) list(ctx context.Context, e *engine) error {
	r, err := e.cri.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{PodSandboxId: f.sandbox}})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	f.containers = r.Containers
	return nil
}

// endOld kills, side by side, the runs that do not count any more.
func (e *engine) endOld(ctx context.Context, f *found) error {
	var killing errgroup.Group
	for _, c := range f.containers {
		if c.State != runtimeapi.ContainerState_CONTAINER_RUNNING || c.Metadata.Attempt >= f.floor[c.Labels[labelContainer]] {
			continue
		}
		killing.Go(func() error {
			if err := e.cgroups.Kill(c.Labels[labelUID], c.Id); err != nil {
				return err
			}
			_, err := e.cri.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: c.Id})
			return ignoreNotFound(err)
		})
	}
	if err := killing.Wait(); err != nil {
		return fmt.Errorf("end the runs before the restart: %w", err)
	}
	return nil
}
