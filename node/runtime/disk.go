package runtime

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"

	"frankenetes.dev/agent/protocol"
)

const (
	// limitedAge is how old what is known of a disk may be where there is a limit
	// that must be kept, anyAge where somebody only looks on.
	limitedAge, anyAge = 10 * time.Second, time.Minute
)

// VolumeUsage returns what a volume of a pod holds. The kubelet's own copy of it
// says nothing: a volume's files are in the pod's group.
func (r *Runtime) VolumeUsage(ctx context.Context, uid, name string, limited bool) (protocol.Disk, error) {
	ctx, cancel := context.WithTimeout(ctx, statsTimeout)
	defer cancel()
	for _, sb := range r.allSandboxes() {
		if sb.uid != uid || sb.life.Err() != nil || sb.group == "" {
			continue
		}
		agent, err := r.client(ctx, sb, protocol.PodAgent)
		if err != nil {
			return protocol.Disk{}, err
		}
		age := sb.diskAge()
		if limited {
			age = limitedAge
		}
		return agent.VolumeUsage(ctx, name, age)
	}
	return protocol.Disk{}, fmt.Errorf("measure volume %s: its pod has no container group", name)
}

// diskAge is how old what is known of the pod's disks may be.
func (sb *sandbox) diskAge() time.Duration {
	for _, c := range sb.sizes.Containers {
		if _, limited := c.Limits[v1.ResourceEphemeralStorage]; limited {
			return limitedAge
		}
	}
	return anyAge
}
