package containerd

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/containerd/containerd/v2/pkg/namespaces"
)

// When somebody dies for whom containerd was making something, it gives that up
// and does not always clean up after itself; nor does a shim that is killed.
// What is left has no owner who could ever remove it, so it is looked for. What
// is just being made or removed looks the same for a moment: only what is there
// at two looks is left for good. All of it has names that never come back.

// The times between two looks double from the first to the last: most is left
// by a daemon or a containerd that has died, and so is there when the next one
// starts. They are
// more than it takes to make or to remove any of it. Should they not be, a call
// fails that would have taken as long, and is made again.
const (
	tidySoon  = 5 * time.Second
	tidyEvery = time.Minute
)

// remains are things that nobody may have any more, by their names.
type remains struct {
	list   func(context.Context) ([]string, error)
	remove func(context.Context, string) error
	last   []string // what was there at the last look
}

// keepTidy looks for what is left, until ctx is done.
func (r *Runtime) keepTidy(ctx context.Context) {
	ctx = namespaces.WithNamespace(ctx, Namespace)
	o := r.options
	all := []*remains{
		{list: r.orphans, remove: r.removeOrphan},
		{list: r.strayLeases, remove: r.removeLease},
		{list: r.strayNamespaces, remove: func(_ context.Context, file string) error { return removeMount(file) }},
		{list: func(context.Context) ([]string, error) { return o.strayShims() }, remove: func(_ context.Context, id string) error { return o.endShim(id) }},
		{list: func(context.Context) ([]string, error) { return o.temporaryMounts() }, remove: func(_ context.Context, dir string) error { return removeMount(dir) }},
	}
	wait := tidySoon
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.relaunched:
			wait = tidySoon
			continue
		case <-time.After(wait):
		}
		wait = min(2*wait, tidyEvery)
		for _, each := range all {
			removed, err := each.tidy(ctx)
			if ctx.Err() == nil && (err != nil || len(removed) > 0) {
				r.log.Info("remains in containerd are removed", "what", removed, "error", err)
			}
		}
	}
}

// tidy looks once, removes what was there at the last look, and returns it.
func (m *remains) tidy(ctx context.Context) (removed []string, err error) {
	now, err := m.list(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range now {
		if slices.Contains(m.last, name) {
			removed = append(removed, name)
			errs = append(errs, m.remove(ctx, name))
		}
	}
	m.last = now
	return removed, errors.Join(errs...)
}
