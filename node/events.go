package node

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// tell makes the kubelet look at a pod as soon as something in it has ended.
// By itself it looks at all pods once a second, and at one that it has just
// changed, so that only what happens unasked would be learned late. (Its own
// EventedPLEG is an alpha feature that loses states; this takes nothing away
// from the regular look.) So being too slow for all events is no reason to end.
func (n *node) tell(ctx context.Context, relist func(types.UID)) {
	for {
		err := n.tellOnce(ctx, relist)
		if ctx.Err() != nil || errors.Is(err, context.Canceled) {
			return
		}
		n.log.Warn("the ends of some containers may be noticed late", "error", err)
	}
}

func (n *node) tellOnce(ctx context.Context, relist func(types.UID)) error {
	events := make(chan *runtimeapi.ContainerEventResponse)
	failed := make(chan error, 1)
	go func() {
		failed <- n.runtime.GetContainerEvents(ctx, events, nil)
		close(events)
	}()
	for event := range events {
		if event.ContainerEventType == runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT {
			relist(types.UID(event.GetPodSandboxStatus().GetMetadata().GetUid()))
		}
	}
	return <-failed
}
