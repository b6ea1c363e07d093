package node

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/kubernetes/pkg/kubelet/allocation/state"

	"frankenetes.dev/node/runtime"
)

// TestTheKubeletIsToldWhatPodsWereGranted looks into the files from which a
// kubelet learns what it knew before: what a pod asks for meanwhile does not
// count, and the limits of containers that have none are the pod's.
func TestTheKubeletIsToldWhatPodsWereGranted(t *testing.T) {
	cpu := func(amount string) v1.ResourceList {
		return v1.ResourceList{v1.ResourceCPU: resource.MustParse(amount)}
	}
	pods := map[string]runtime.Sizes{"uid": {
		Pod:        &v1.ResourceRequirements{Limits: cpu("2")},
		Containers: map[string]v1.ResourceRequirements{"main": {Requests: cpu("100m")}},
	}}
	dir := t.TempDir()
	if err := noteSizes(dir, pods); err != nil {
		t.Fatal(err)
	}
	for file, limit := range map[string]string{grantedFile: "0", givenFile: "2"} {
		noted, err := state.NewStateCheckpoint(dir, file)
		if err != nil {
			t.Fatal(err)
		}
		main, ok := noted.GetContainerResources("uid", "main")
		if !ok || main.Requests.Cpu().String() != "100m" || main.Limits.Cpu().String() != limit {
			t.Errorf("%s: the container has %+v, want limit %s", file, main, limit)
		}
		if pod, ok := noted.GetPodLevelResources("uid"); !ok || pod.Limits.Cpu().String() != "2" {
			t.Errorf("%s: the pod has %+v", file, pod)
		}
	}
	if got := pods["uid"].Containers["main"].Limits; got != nil {
		t.Errorf("what was noted has changed to %v", got)
	}
}
