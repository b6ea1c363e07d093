package runtime

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/protobuf/proto"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/provider"
)

// listAgain is the time between two attempts to list the groups.
const listAgain = 2 * time.Second

// Recover takes up the groups that an earlier life of the node has left: it
// adopts those of which there is a record here. The others are for Claim. It
// must be called before agents can connect.
func (r *Runtime) Recover(ctx context.Context) error {
	groups, err := r.listUntil(ctx)
	if err != nil {
		return err
	}
	listed := map[string]provider.Listed{}
	for _, g := range groups {
		listed[g.Name] = g
	}
	for _, rec := range r.records() {
		var err error
		if g, ok := listed[rec.Group]; !ok || g.Ended {
			err = fmt.Errorf("its container group %q is gone", rec.Group)
		} else {
			_, err = r.adopt(rec)
		}
		if err != nil {
			r.log.Info("a sandbox is not taken up", "pod", rec.Namespace+"/"+rec.Name, "why", err)
			_ = os.Remove(r.recordPath(rec.ID))
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, g := range listed {
		switch {
		case r.groups[name] != nil:
		case g.Ended:
			r.tasks.start(func() { r.deleteStray(name) })
		default:
			r.claims[name] = &claim{tags: g.Tags, settled: make(chan struct{})}
		}
	}
	return nil
}

// listUntil lists the node's groups, however long the cloud takes to answer.
func (r *Runtime) listUntil(ctx context.Context) ([]provider.Listed, error) {
	for {
		groups, err := r.opts.Provider.List(ctx, map[string]string{provider.TagNode: provider.TagValue(r.opts.NodeName)})
		if err == nil {
			return groups, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("list the node's groups: %w", context.Cause(ctx))
		}
		r.log.Warn("the cloud does not list the node's groups", "error", err)
		select {
		case <-time.After(listAgain):
		case <-ctx.Done():
		}
	}
}

// adopt makes a sandbox of its record. Its agents count as absent until they
// call.
func (r *Runtime) adopt(rec sandboxRecord) (*sandbox, error) {
	sb := r.newSandbox(rec.Namespace, rec.Name, rec.UID)
	sb.id, sb.created, sb.group, sb.images, sb.sizes, sb.shared = rec.ID, rec.Created, rec.Group, rec.Images, rec.Sizes, rec.Shared
	sb.ready, sb.ip, sb.config = rec.Ready, rec.IP, &runtimeapi.PodSandboxConfig{}
	if err := proto.Unmarshal(rec.Config, sb.config); err != nil {
		return nil, fmt.Errorf("read record of sandbox: %w", err)
	}
	sb.exact, sb.ports, sb.clean, sb.memory = rec.Exact, rec.Ports, rec.Clean, rec.Memory
	now := time.Now()
	sb.absent[protocol.PodAgent] = now
	for name, image := range sb.images {
		sb.absent[name] = now
		r.opts.Images.Assign(sb.uid, image)
	}
	for _, one := range rec.Containers {
		if one.State == runtimeapi.ContainerState_CONTAINER_CREATED {
			continue // the kubelet creates another, with its environment
		}
		c, err := r.revive(sb, one)
		if err != nil {
			return nil, err
		}
		sb.containers[c.id] = c
	}
	r.mu.Lock()
	r.sandboxes[sb.id], r.groups[sb.group] = sb, sb
	for _, c := range sb.containers {
		r.containers[c.id] = c
	}
	r.mu.Unlock()
	for _, c := range sb.containers {
		r.follow(c)
	}
	r.log.Info("a sandbox is taken up again", "pod", sb.namespace+"/"+sb.name, "group", sb.group, "containers", len(sb.containers))
	return sb, nil
}

// revive makes a container of its record.
func (r *Runtime) revive(sb *sandbox, rec containerRecord) (*container, error) {
	c := &container{
		id: rec.ID, sandbox: sb, config: &runtimeapi.ContainerConfig{}, host: rec.Host, image: rec.Image, created: rec.Created,
		ended: make(chan struct{}), log: newLogCopy(rec.LogPath),
		state: rec.State, started: rec.Started, finished: rec.Finished, exitCode: rec.ExitCode, reason: rec.Reason, text: rec.Text,
		lastWords: rec.Message, logLost: rec.logLost,
	}
	if err := proto.Unmarshal(rec.Config, c.config); err != nil {
		return nil, fmt.Errorf("read record of container: %w", err)
	}
	if err := r.mounts(c); err != nil {
		return nil, err
	}
	if c.state == runtimeapi.ContainerState_CONTAINER_EXITED {
		close(c.ended)
	}
	c.log.resume(rec.LogOffset, rec.LogSize)
	return c, nil
}
