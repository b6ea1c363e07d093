package runtime

import (
	"context"
	"fmt"
	"time"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/provider"
)

// reconcile deletes the node's groups that belong to no sandbox, and gives up
// the sandboxes whose group is gone.
func (r *Runtime) reconcile(ctx context.Context) error {
	groups, err := r.opts.Provider.List(ctx, map[string]string{provider.TagNode: provider.TagValue(r.opts.NodeName)})
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, g := range groups {
		listed[g.Name] = !g.Ended
		r.mu.Lock()
		known := r.groups[g.Name] != nil || r.claims[g.Name] != nil
		r.mu.Unlock()
		if !known {
			r.log.Info("deleting a group that belongs to no sandbox", "group", g.Name)
			r.tasks.start(func() { r.deleteStray(g.Name) })
		}
	}
	for _, sb := range r.allSandboxes() {
		if why := r.lost(sb, listed[sb.group], time.Now()); why != "" {
			r.log.Warn("a pod's group is lost", "pod", sb.namespace+"/"+sb.name, "group", sb.group, "why", why)
			r.conclude(sb, why)
			r.abandon(sb)
		}
	}
	return nil
}

// deleteStray deletes a group that nobody knows, unless that is being done: a
// cloud that takes no deletes now would be asked by more and more.
func (r *Runtime) deleteStray(group string) {
	r.mu.Lock()
	busy := r.strays[group]
	r.strays[group] = true
	r.mu.Unlock()
	if busy {
		return
	}
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.strays, group)
	}()
	ctx, cancel := context.WithTimeout(r.life, cleanTimeout)
	defer cancel()
	r.opts.Agents.Forget(group)
	if err := r.opts.Provider.Delete(ctx, group); err != nil {
		r.log.Warn("a stray group is left over for now", "group", group, "error", err)
		return
	}
	r.failures.room()
}

// lost says why a sandbox's group must be given up, or nothing. A group that is
// merely not listed may be listed late; one whose agents talk is alive.
func (r *Runtime) lost(sb *sandbox, listed bool, now time.Time) string {
	sb.mu.Lock()
	defer sb.mu.Unlock()
	if !sb.ready || sb.group == "" || len(sb.absent) == 0 {
		return ""
	}
	anyone := r.hears(sb, protocol.PodAgent)
	for name := range sb.images {
		anyone = anyone || r.hears(sb, name)
	}
	if !listed && !anyone {
		return "its container group is gone"
	}
	for name, since := range sb.absent {
		away := now.Sub(since)
		if anyone && away > containerLost || away > groupLost {
			return fmt.Sprintf("the agent of container %s has not called for %s", name, away.Round(time.Second))
		}
	}
	return ""
}

// hears reports whether the agent of a container is connected.
func (r *Runtime) hears(sb *sandbox, name string) bool {
	_, ok := r.opts.Agents.Connected(protocol.ID{Group: sb.group, Container: name})
	return ok
}
