package groups

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// found is what the runtime has of a deployment that an earlier daemon made.
type found struct {
	sandbox    string
	ids        ownIDs
	containers []*runtimeapi.Container // once it is adopted
	floor      map[string]uint32       // runs below it do not count
}

// runs returns the runs of a container, oldest first.
func (f *found) runs(container string) []*runtimeapi.Container {
	if f == nil {
		return nil
	}
	var runs []*runtimeapi.Container
	for _, c := range f.containers {
		if c.Labels[labelContainer] == container && c.Metadata.Attempt >= f.floor[container] {
			runs = append(runs, c)
		}
	}
	slices.SortFunc(runs, func(a, b *runtimeapi.Container) int { return int(a.Metadata.Attempt) - int(b.Metadata.Attempt) })
	return runs
}

// pastInit reports whether an application container was started, and so the
// init containers had ended well.
func (f *found) pastInit(g *Group) bool {
	for _, c := range g.Properties.Containers {
		for _, run := range f.runs(c.Name) {
			if run.State != runtimeapi.ContainerState_CONTAINER_CREATED {
				return true
			}
		}
	}
	return false
}

// find asks the runtime for every sandbox of ours that is ready, by the uid of
// its deployment, and for the uids of all that are there.
func (e *engine) find(ctx context.Context) (ready map[string]*found, all map[string]bool, err error) {
	sandboxes, err := e.cri.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return nil, nil, fmt.Errorf("list sandboxes: %w", err)
	}
	ready, all = map[string]*found{}, map[string]bool{}
	for _, s := range sandboxes.Items {
		uid := s.Labels[labelUID]
		if uid == "" {
			continue // not one of ours
		}
		all[uid] = true
		ids, err := e.isolation.keep(uid, s.Labels)
		if err != nil {
			return nil, nil, fmt.Errorf("find sandbox %s: %w", s.Id, err)
		}
		if s.State != runtimeapi.PodSandboxState_SANDBOX_READY {
			continue
		}
		ready[uid] = &found{sandbox: s.Id, ids: ids}
	}
	return ready, all, nil
}

// settleTime is how long a group that has ended may take to say so.
const settleTime = 10 * time.Second

// Adopt takes over the groups that still run and starts nothing: it is for a
// cloud that is about to stop. Those that had ended meanwhile have their
// result kept when it returns.
func (s *Service) Adopt(ctx context.Context) error { return s.resume(ctx, s.adoptGroup) }

func (s *Service) adoptGroup(ctx context.Context, g *group, found *found) {
	r := &g.record
	var err error
	over := r.Stopped || r.Result != nil
	runs := found != nil && !over
	if runs {
		err = s.join(g)
	} else if !over {
		_, err = s.noteUnseen(ctx, g)
	}
	if !runs || err != nil {
		if err = errors.Join(err, s.engine.removeDeployment(ctx, r.UID, 0)); err != nil {
			s.options.Log.Error("group is not taken over", "group", g.key, "error", err)
		}
		return
	}
	// Asked before the deployment has it, which asks anew.
	if err := found.list(ctx, s.engine); err != nil {
		s.options.Log.Error("group is not asked whether it has ended", "group", g.key, "error", err)
	}
	ending := r.Group.Properties.RestartPolicy != always && found.allExited()
	s.deploy(g, found)
	d := g.live()
	if d == nil || !ending {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	select {
	case <-d.done:
	case <-ctx.Done():
	}
}

// allExited reports whether there were containers and none runs or is about to.
func (f *found) allExited() bool {
	if len(f.containers) == 0 {
		return false
	}
	for _, c := range f.containers {
		if c.State != runtimeapi.ContainerState_CONTAINER_EXITED {
			return false
		}
	}
	return true
}

// takeOver takes over a sandbox that runs. Only one that is gone is given up:
// for want of an answer nobody's containers are ended.
func (d *deployment) takeOver(ctx context.Context, f *found) error {
	for {
		err := d.adoptSandbox(ctx, f)
		if err == nil || errors.Is(err, errSandboxLost) || ctx.Err() != nil {
			return err
		}
		if grpcstatus.Code(err) == codes.NotFound {
			return errSandboxLost
		}
		d.engine.log.Warn("group is not taken over yet", "group", d.key, "error", err)
		if !sleep(ctx, lookAgain) {
			return ctx.Err()
		}
	}
}

// adoptSandbox tries so once.
func (d *deployment) adoptSandbox(ctx context.Context, f *found) error {
	cpu, memory := d.group.total()
	var err error
	if d.cgroup, err = d.engine.cgroups.Create(d.uid, float64(cpu), float64(memory)); err != nil {
		return err
	}
	if err := f.list(ctx, d.engine); err != nil {
		return err
	}
	if err := d.engine.endOld(ctx, f); err != nil {
		return err
	}
	return d.tellAddress(ctx)
}

// adopt takes over the latest run, if there is one, and returns its id. What
// came before it is told as it was.
func (w *worker) adopt() string {
	if len(w.known) == 0 {
		return ""
	}
	latest := w.known[len(w.known)-1]
	w.attempt = latest.Metadata.Attempt
	var previous *ContainerState
	if len(w.known) > 1 {
		previous = w.past(w.known[len(w.known)-2].Id)
	}
	w.update(func(p *progress) {
		w.began(p, latest.Id)
		if previous != nil {
			p.Previous = previous
		}
		p.Started = p.Started || latest.State != runtimeapi.ContainerState_CONTAINER_CREATED || w.attempt > 0
	})
	w.known = nil // a later life of the group starts afresh
	return latest.Id
}

// past describes a run that is over.
func (w *worker) past(id string) *ContainerState {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	state, err := w.state(ctx, id)
	if err != nil || state.State != runtimeapi.ContainerState_CONTAINER_EXITED {
		return nil
	}
	s := ended(time.Unix(0, state.StartedAt).UTC(), time.Unix(0, state.FinishedAt).UTC(), state.ExitCode, state.Reason)
	return &s
}

// adoptEnded takes over an init container that had ended well.
func (w *worker) adoptEnded() {
	id := w.adopt()
	if id == "" {
		return
	}
	if state := w.past(id); state != nil {
		w.update(func(p *progress) { p.Current, p.Started, p.Final = *state, true, true })
	}
}

// endedBefore reports whether the container had ended for good before its
// sandbox was lost; it is not run again.
func (w *worker) endedBefore() bool {
	final := false
	w.update(func(p *progress) {
		if final = p.Final; final && p.Current.ExitCode != nil {
			w.exitCode = *p.Current.ExitCode
		}
	})
	return final
}

// leftovers returns the uids that have directories but no deployment.
func (e *engine) leftovers(deployed map[string]bool) ([]string, error) {
	var uids []string
	for _, dir := range []string{e.paths.Volumes, e.paths.Memory, e.paths.Logs} {
		paths, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			return nil, fmt.Errorf("look for leftovers: %w", err)
		}
		for _, p := range paths {
			if uid := filepath.Base(p); !deployed[uid] && !slices.Contains(uids, uid) {
				uids = append(uids, uid)
			}
		}
	}
	return uids, nil
}
