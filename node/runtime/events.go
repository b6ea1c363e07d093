package runtime

import (
	"context"
	"errors"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// errBehind ends a subscription whose subscriber does not keep up: it must look
// at everything again rather than miss something.
var errBehind = errors.New("the subscriber is too far behind")

// backlog is how many events may wait for a subscriber.
const backlog = 1000

// broadcaster passes events to all who listen. The zero value is ready.
type broadcaster struct {
	mu   sync.Mutex
	subs map[chan *runtimeapi.ContainerEventResponse]struct{}
}

func (b *broadcaster) subscribe() chan *runtimeapi.ContainerEventResponse {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.subs == nil {
		b.subs = map[chan *runtimeapi.ContainerEventResponse]struct{}{}
	}
	ch := make(chan *runtimeapi.ContainerEventResponse, backlog)
	b.subs[ch] = struct{}{}
	return ch
}

func (b *broadcaster) unsubscribe(ch chan *runtimeapi.ContainerEventResponse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.subs, ch)
}

// send passes an event on; make is called only if someone listens. A
// subscriber whose backlog is full is cut off.
func (b *broadcaster) send(make func() *runtimeapi.ContainerEventResponse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.subs) == 0 {
		return
	}
	event := make()
	for ch := range b.subs {
		select {
		case ch <- event:
		default:
			close(ch)
			delete(b.subs, ch)
		}
	}
}

// publish tells of a change to a container, or to the sandbox itself.
func (r *Runtime) publish(sb *sandbox, id string, what runtimeapi.ContainerEventType) {
	r.events.send(func() *runtimeapi.ContainerEventResponse {
		event := &runtimeapi.ContainerEventResponse{
			ContainerId: id, ContainerEventType: what, CreatedAt: time.Now().UnixNano(), PodSandboxStatus: sb.status(),
		}
		for _, c := range sb.all() {
			event.ContainersStatuses = append(event.ContainersStatuses, c.status())
		}
		return event
	})
}

// GetContainerEvents passes every change to events until the context is done.
func (r *Runtime) GetContainerEvents(ctx context.Context, events chan *runtimeapi.ContainerEventResponse,
	established func(runtimeapi.RuntimeService_GetContainerEventsClient)) error {
	sub := r.events.subscribe()
	defer r.events.unsubscribe(sub)
	if established != nil {
		established(nil)
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.life.Done():
			return context.Cause(r.life)
		case event, ok := <-sub:
			if !ok {
				return errBehind
			}
			select {
			case events <- event:
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-r.life.Done():
				return context.Cause(r.life)
			}
		}
	}
}
