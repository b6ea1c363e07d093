package groups

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// reconnectPause is the time between two attempts to follow the runtime's events.
const reconnectPause = 200 * time.Millisecond

// watcher follows the runtime's stream of events and wakes those who wait for
// a container or sandbox. An event only says "look again": what is true is
// asked of the runtime, so that a lost event is a lost wake-up and no more,
// and everyone is woken whenever the stream had to be opened anew.
type watcher struct {
	cri runtimeapi.RuntimeServiceClient
	log *slog.Logger

	mu      sync.Mutex
	waiting map[string]map[chan struct{}]struct{}
}

func newWatcher(cri runtimeapi.RuntimeServiceClient, log *slog.Logger) *watcher {
	return &watcher{cri: cri, log: log, waiting: map[string]map[chan struct{}]struct{}{}}
}

// run follows events until ctx is done.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.follow(ctx); ctx.Err() == nil {
			w.log.Debug("event stream ended", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(reconnectPause):
		}
	}
}

func (w *watcher) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.cri.GetContainerEvents(ctx, &runtimeapi.GetEventsRequest{}, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	w.wakeAll()
	// The stream is open for us a moment before the runtime has it: what
	// happened in between is seen by looking once more.
	again := time.AfterFunc(time.Second, w.wakeAll)
	defer again.Stop()
	for {
		event, err := stream.Recv()
		if err != nil {
			return err
		}
		if event.ContainerEventType == runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT ||
			event.ContainerEventType == runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT {
			w.wake(event.ContainerId)
		}
	}
}

// subscribe returns a channel that is signalled when something happened to
// the container or sandbox with that id. Call the function to end it.
func (w *watcher) subscribe(id string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting[id] == nil {
		w.waiting[id] = map[chan struct{}]struct{}{}
	}
	w.waiting[id][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting[id], ch)
		if len(w.waiting[id]) == 0 {
			delete(w.waiting, id)
		}
	}
}

func (w *watcher) wake(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.waiting[id] {
		select {
		case ch <- struct{}{}:
		default: // a signal is pending already
		}
	}
}

func (w *watcher) wakeAll() {
	w.mu.Lock()
	ids := make([]string, 0, len(w.waiting))
	for id := range w.waiting {
		ids = append(ids, id)
	}
	w.mu.Unlock()
	for _, id := range ids {
		w.wake(id)
	}
}
