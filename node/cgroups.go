package node

import (
	cadvisorapiv2 "github.com/google/cadvisor/info/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"

	"frankenetes.dev/node/runtime"
)

// noCgroups is a container manager for a node on which no container runs.
type noCgroups struct {
	cm.ContainerManager
	disk interface {
		RootFsInfo() (cadvisorapiv2.FsInfo, error)
	}
}

// GetCapacity returns the disk of the node's own group: a pod's has one as large.
func (n noCgroups) GetCapacity(bool) v1.ResourceList {
	info, err := n.disk.RootFsInfo()
	if err != nil {
		return nil // the node is not ready without
	}
	return cadvisor.EphemeralStorageCapacityFromFsInfo(info)
}

// NewPodContainerManager returns a manager of no pod's cgroups.
func (n noCgroups) NewPodContainerManager() cm.PodContainerManager {
	return noPodCgroups{n.ContainerManager.NewPodContainerManager()}
}

// GetNodeAllocatableReservation returns what a pod's group has beside the pod's
// own containers, so that the largest pod that the node takes fits in a group.
func (noCgroups) GetNodeAllocatableReservation() v1.ResourceList { return runtime.Overhead() }

// noPodCgroups says that no limit is set, where upstream's stub says that it
// cannot know, which the kubelet logs as an error with every look at a pod.
type noPodCgroups struct{ cm.PodContainerManager }

// GetPodCgroupConfig returns no limits.
func (noPodCgroups) GetPodCgroupConfig(*v1.Pod, v1.ResourceName) (*cm.ResourceConfig, error) {
	return nil, nil
}

// GetAllocateResourcesPodAdmitHandler returns the manager's say in what pods may
// have.
func (n noCgroups) GetAllocateResourcesPodAdmitHandler() lifecycle.PodAdmitHandler {
	return fixedSize{n.ContainerManager.GetAllocateResourcesPodAdmitHandler()}
}

// fixedSize refuses to resize pods: a container group is as large as it was
// made. The refusal comes before the kubelet has noted the new size as given.
type fixedSize struct{ lifecycle.PodAdmitHandler }

// Admit decides on a pod that is new or to be resized.
func (f fixedSize) Admit(attrs *lifecycle.PodAdmitAttributes) lifecycle.PodAdmitResult {
	if attrs.Operation == lifecycle.ResizeOperation {
		return lifecycle.PodAdmitResult{Reason: v1.PodReasonInfeasible, Message: "a container group's size is fixed when it is made"}
	}
	return f.PodAdmitHandler.Admit(attrs)
}
