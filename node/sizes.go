package node

import (
	"errors"
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/kubelet/allocation/state"
	kubeutil "k8s.io/kubernetes/pkg/kubelet/util"

	"frankenetes.dev/node/runtime"
)

// The kubelet's files with the resources that pods were granted, and with those
// that their containers which run have.
const (
	grantedFile = "allocated_pods_state"
	givenFile   = "actuated_pods_state"
)

// noteSizes writes into the kubelet's files what containers have that it does
// not know to run. A kubelet that finds them without takes every size for a
// change, and what pods ask for by now, which may be a size that was refused,
// for what they were granted: it would try to resize them.
func noteSizes(root string, pods map[string]runtime.Sizes) error {
	if len(pods) == 0 {
		return nil
	}
	granted, err1 := state.NewStateCheckpoint(root, grantedFile)
	given, err2 := state.NewStateCheckpoint(root, givenFile)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("open the kubelet's notes of sizes: %w", err)
	}
	for uid, sizes := range pods {
		if err := note(granted, uid, sizes); err != nil {
			return err
		}
		if err := note(given, uid, withPodLimits(sizes)); err != nil {
			return err
		}
	}
	return nil
}

// withPodLimits are the sizes of containers that have no limits but their pod's.
func withPodLimits(sizes runtime.Sizes) runtime.Sizes {
	containers := map[string]v1.ResourceRequirements{}
	for name, size := range sizes.Containers {
		size.Limits = kubeutil.GetLimits(&kubeutil.ResourceOpts{PodResources: sizes.Pod, ContainerResources: &size})
		containers[name] = size
	}
	return runtime.Sizes{Pod: sizes.Pod, Containers: containers}
}

// note notes a pod's sizes in one of the files.
func note(file state.State, uid string, sizes runtime.Sizes) error {
	for name, size := range sizes.Containers {
		if err := file.SetContainerResources(types.UID(uid), name, size); err != nil {
			return fmt.Errorf("note the size of container %s: %w", name, err)
		}
	}
	if sizes.Pod == nil {
		return nil
	}
	if err := file.SetPodLevelResources(types.UID(uid), sizes.Pod); err != nil {
		return fmt.Errorf("note the size of pod %s: %w", uid, err)
	}
	return nil
}
