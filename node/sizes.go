package node

import (
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/kubelet/allocation/state"
	kubeutil "k8s.io/kubernetes/pkg/kubelet/util"

	"frankenetes.dev/node/runtime"
)

// sizesFile is the kubelet's file with the resources that containers which run
// were given.
const sizesFile = "actuated_pods_state"

// noteSizes writes into the kubelet's file what containers have that it does
// not know to run. A kubelet that finds them without takes every size for a
// change, and tries to resize them.
func noteSizes(root string, pods map[string]runtime.Sizes) error {
	if len(pods) == 0 {
		return nil
	}
	file, err := state.NewStateCheckpoint(root, sizesFile)
	if err != nil {
		return fmt.Errorf("open the kubelet's note of sizes: %w", err)
	}
	for uid, sizes := range pods {
		for name, given := range sizes.Containers {
			given.Limits = kubeutil.GetLimits(&kubeutil.ResourceOpts{PodResources: sizes.Pod, ContainerResources: &given})
			if err := file.SetContainerResources(types.UID(uid), name, given); err != nil {
				return fmt.Errorf("note the size of container %s: %w", name, err)
			}
		}
		if sizes.Pod == nil {
			continue
		}
		if err := file.SetPodLevelResources(types.UID(uid), sizes.Pod); err != nil {
			return fmt.Errorf("note the size of pod %s: %w", uid, err)
		}
	}
	return nil
}
