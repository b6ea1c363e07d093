package node

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/cm"
)

// noCgroups is a container manager for a node on which no container runs.
type noCgroups struct{ cm.ContainerManager }

// NewPodContainerManager returns a manager of no pod's cgroups.
func (n noCgroups) NewPodContainerManager() cm.PodContainerManager {
	return noPodCgroups{n.ContainerManager.NewPodContainerManager()}
}

// noPodCgroups says that no limit is set, where upstream's stub says that it
// cannot know, which the kubelet logs as an error with every look at a pod.
type noPodCgroups struct{ cm.PodContainerManager }

// GetPodCgroupConfig returns no limits.
func (noPodCgroups) GetPodCgroupConfig(*v1.Pod, v1.ResourceName) (*cm.ResourceConfig, error) {
	return nil, nil
}
