package node

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/volume"
	"k8s.io/kubernetes/pkg/volume/configmap"
	"k8s.io/kubernetes/pkg/volume/downwardapi"
	"k8s.io/kubernetes/pkg/volume/emptydir"
	"k8s.io/kubernetes/pkg/volume/image"
	"k8s.io/kubernetes/pkg/volume/projected"
	"k8s.io/kubernetes/pkg/volume/secret"

	"frankenetes.dev/agent/protocol"
)

// usageOf tells what a volume of a pod holds.
type usageOf func(ctx context.Context, uid, volume string, limited bool) (protocol.Disk, error)

// volumePlugins are the kinds of volumes that need no machine: their content
// is files, which the runtime sends to the pod's agent.
func volumePlugins(ctx context.Context, usage usageOf) []volume.VolumePlugin {
	var all []volume.VolumePlugin
	for _, plugin := range emptydir.ProbeVolumePlugins() {
		all = append(all, emptyDirs{plugin, ctx, usage})
	}
	for _, plugins := range [][]volume.VolumePlugin{
		secret.ProbeVolumePlugins(), configmap.ProbeVolumePlugins(),
		downwardapi.ProbeVolumePlugins(), projected.ProbeVolumePlugins(), image.ProbeVolumePlugins(),
	} {
		all = append(all, plugins...)
	}
	return all
}

// emptyDirs are volumes that the kubelet makes here and pods fill elsewhere: to
// measure one, its group is asked.
type emptyDirs struct {
	volume.VolumePlugin
	// ctx is the kubelet's life: what it asks of a volume has no context.
	ctx   context.Context
	usage usageOf
}

// NewMounter makes a volume that is measured where it is.
func (e emptyDirs) NewMounter(spec *volume.Spec, pod *v1.Pod) (volume.Mounter, error) {
	mounter, err := e.VolumePlugin.NewMounter(spec, pod)
	if err != nil {
		return nil, err
	}
	limit := spec.Volume.EmptyDir.SizeLimit
	return emptyDir{mounter, e, string(pod.UID), spec.Name(), limit != nil && limit.Sign() > 0}, nil
}

type emptyDir struct {
	volume.Mounter
	kind      emptyDirs
	uid, name string
	limited   bool
}

// GetMetrics returns what the volume holds.
func (e emptyDir) GetMetrics() (*volume.Metrics, error) {
	used, err := e.kind.usage(e.kind.ctx, e.uid, e.name, e.limited)
	if err != nil {
		return nil, fmt.Errorf("measure volume %s of pod %s: %w", e.name, e.uid, err)
	}
	quantity := func(n uint64) *resource.Quantity { return resource.NewQuantity(int64(n), resource.BinarySI) }
	return &volume.Metrics{
		Time: metav1.NewTime(used.Time), Used: quantity(used.Bytes), InodesUsed: quantity(used.Inodes),
		Capacity: quantity(used.Room.Bytes), Available: quantity(used.Room.BytesFree),
		Inodes: quantity(used.Room.Inodes), InodesFree: quantity(used.Room.InodesFree),
	}, nil
}
