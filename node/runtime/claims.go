package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/provider"
)

// claim is a group of an earlier life of the node of which this one has no
// record, as when it lost its own group and with it all its files. The group's
// pod agent has one.
type claim struct {
	tags map[string]string
	// settled is closed when the group is adopted or given up.
	settled chan struct{}
}

// Sizes are the resources that a pod and its containers asked for.
type Sizes struct {
	Pod        *v1.ResourceRequirements           `json:"pod,omitempty"`
	Containers map[string]v1.ResourceRequirements `json:"containers"`
}

func sizesFor(pod *v1.Pod) Sizes {
	s := Sizes{Pod: pod.Spec.Resources, Containers: map[string]v1.ResourceRequirements{}}
	for _, c := range containersOf(pod) {
		s.Containers[c.Name] = c.Resources
	}
	return s
}

// Claim waits until the groups that Recover found and has no record of are
// adopted, which happens as their pod agents call. Those that have ended, and
// those that have not called when the time is over, are deleted: their pods
// start anew. Agents must be able to connect, and the kubelet must not be asking
// yet. It returns the sizes of the adopted pods, by UID, of which the kubelet
// has no note either.
func (r *Runtime) Claim(ctx context.Context, patience time.Duration) (map[string]Sizes, error) {
	r.mu.Lock()
	open := maps.Clone(r.claims)
	r.mu.Unlock()
	all := slices.Collect(maps.Keys(open))
	late, look := time.NewTimer(patience), time.NewTicker(lookAtClaims)
	defer late.Stop()
	defer look.Stop()
	for len(open) > 0 {
		var next *claim
		for _, next = range open {
			break
		}
		select {
		case <-next.settled:
		case <-look.C:
			r.dropEnded(ctx, open)
		case <-late.C:
			for name, c := range open {
				r.settle(name, c, errors.New("its pod agent has not called"))
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		maps.DeleteFunc(open, func(_ string, c *claim) bool { return c.isSettled() })
	}
	return r.claimed(all), nil
}

// lookAtClaims is how often the cloud is asked whether groups that do not call
// have ended: those that a cloud started anew, as after a reboot of its host,
// do so as soon as the node refuses their agents' tokens.
const lookAtClaims = time.Second

// dropEnded gives up the claims of groups that have ended.
func (r *Runtime) dropEnded(ctx context.Context, open map[string]*claim) {
	looker, ok := r.opts.Provider.(provider.Looker)
	if !ok {
		return
	}
	for name, c := range open {
		ended, err := looker.Ended(ctx, name)
		if err != nil && ctx.Err() == nil {
			r.log.Debug("a group is not looked at", "group", name, "error", err)
		}
		if ended {
			r.settle(name, c, errors.New("its containers have ended"))
		}
	}
}

func (c *claim) isSettled() bool {
	select {
	case <-c.settled:
		return true
	default:
		return false
	}
}

// claimed returns the sizes of those of the groups that were adopted.
func (r *Runtime) claimed(groups []string) map[string]Sizes {
	r.mu.Lock()
	defer r.mu.Unlock()
	sizes := map[string]Sizes{}
	for _, name := range groups {
		if sb := r.groups[name]; sb != nil {
			sizes[sb.uid] = sb.sizes
		}
	}
	return sizes
}

// owner returns the sandbox of an agent's group, or nil. If the group has to be
// claimed first, it waits for that, or brings it about if it is the pod agent.
func (r *Runtime) owner(id protocol.ID, agent *protocol.Client) *sandbox {
	r.mu.Lock()
	sb, c := r.groups[id.Group], r.claims[id.Group]
	r.mu.Unlock()
	if c == nil {
		return sb
	}
	if id.Container == protocol.PodAgent {
		err := r.claimBy(id.Group, c, agent)
		var refusal *protocol.Error
		if err == nil || errors.As(err, &refusal) || errors.Is(err, errBadRecord) {
			r.settle(id.Group, c, err)
		} // or else the connection has ended, and there will be another
	}
	select {
	case <-c.settled:
	case <-agent.Done():
	case <-r.life.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.groups[id.Group]
}

// errBadRecord says that what a pod agent has cannot be gone on with.
var errBadRecord = errors.New("its record is of no use")

// claimBy adopts a group by the record that its pod agent has.
func (r *Runtime) claimBy(group string, c *claim, agent *protocol.Client) error {
	ctx, cancel := context.WithTimeout(r.life, agentTimeout)
	defer cancel()
	data, err := agent.Record(ctx)
	if err != nil {
		return err
	}
	if err := r.goOnWith(group, c, data); err != nil {
		return fmt.Errorf("%w: %w", errBadRecord, err)
	}
	return nil
}

// goOnWith adopts a group by a record, and makes the directories in which the
// kubelet is about to put its volumes again, so that they can be watched.
func (r *Runtime) goOnWith(group string, c *claim, record []byte) error {
	var rec sandboxRecord
	if err := json.Unmarshal(record, &rec); err != nil {
		return err
	}
	if rec.Group != group || !c.isOf(rec) {
		return fmt.Errorf("it is of pod %s/%s", rec.Namespace, rec.Name)
	}
	if err := r.restore(&rec); err != nil {
		return err
	}
	sb, err := r.adopt(rec)
	if err != nil {
		return err
	}
	sb.mu.Lock()
	defer sb.mu.Unlock()
	for _, v := range sb.volumes {
		if err := os.MkdirAll(v.host, 0o750); err != nil {
			return fmt.Errorf("make directory of volume %s: %w", v.name, err)
		}
	}
	return nil
}

// isOf reports whether a record is of the pod for which the group was made,
// which the cloud knows better than who is in the group.
func (c *claim) isOf(rec sandboxRecord) bool {
	for tag, value := range map[string]string{
		provider.TagNamespace: rec.Namespace, provider.TagPod: rec.Name, provider.TagUID: rec.UID, provider.TagSandbox: rec.ID,
	} {
		if c.tags[tag] != provider.TagValue(value) {
			return false
		}
	}
	return true
}

// restore makes anew what was lost with the node's files and is not the
// kubelet's to make: logs are copied again from their beginning, and messages
// of what has ended are written again.
func (r *Runtime) restore(rec *sandboxRecord) error {
	for i := range rec.Containers {
		c := &rec.Containers[i]
		if !within(r.opts.RootDir, c.LogPath) || c.MessagePath != "" && !within(r.opts.RootDir, c.MessagePath) {
			return fmt.Errorf("container %s has files outside of %s", c.ID, r.opts.RootDir)
		}
		c.LogOffset, c.LogSize, c.logLost = 0, 0, true
		if err := os.MkdirAll(filepath.Dir(c.LogPath), 0o755); err != nil {
			return fmt.Errorf("make log directory: %w", err)
		}
		if c.Message == "" || c.MessagePath == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(c.MessagePath), 0o750); err != nil {
			return fmt.Errorf("make directory of termination message: %w", err)
		}
		if err := os.WriteFile(c.MessagePath, []byte(c.Message), 0o600); err != nil {
			return fmt.Errorf("write termination message: %w", err)
		}
	}
	return nil
}

// settle ends a claim: without an error the group has been adopted, with one it
// is given up. Only the first call for a claim counts.
func (r *Runtime) settle(group string, c *claim, err error) {
	r.mu.Lock()
	won := r.claims[group] == c
	if won {
		delete(r.claims, group)
	}
	r.mu.Unlock()
	if !won {
		return
	}
	if err != nil {
		r.log.Info("deleting a group of an earlier life", "group", group, "why", err)
		r.tasks.start(func() { r.deleteStray(group) })
	}
	close(c.settled)
}
