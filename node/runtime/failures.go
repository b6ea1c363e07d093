package runtime

import (
	"errors"
	"sync"
	"time"

	"frankenetes.dev/node/provider"
)

// The kubelet asks for a sandbox that it did not get every ten seconds or so,
// and for ever. A place that refuses a group (its quota is used up, the region
// is full) is not asked that often: it counts requests, too.
const (
	firstPause = 10 * time.Second
	lastPause  = 2 * time.Minute
)

// failures are the pods whose groups were refused, by UID. The zero value has
// none.
type failures struct {
	mu   sync.Mutex
	pods map[string]*failure
}

// failure is what came of the attempts to make one pod's group.
type failure struct {
	err   error
	pause time.Duration
	// until is when the place may be asked again.
	until time.Time
}

// hold returns why a pod's group was refused, if it is too early to ask again.
func (f *failures) hold(uid string, now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.pods[uid]; one != nil && now.Before(one.until) {
		return one.err
	}
	return nil
}

// note takes note of how an attempt went. Only a refusal counts: of other
// failures nobody knows whether they last, and a provider that is throttled
// keeps its own time.
func (f *failures) note(uid string, err error, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !errors.Is(err, provider.ErrRefused) || errors.Is(err, provider.ErrThrottled) {
		delete(f.pods, uid)
		return
	}
	one := f.pods[uid]
	if one == nil {
		one = &failure{pause: firstPause / 2}
		if f.pods == nil {
			f.pods = map[string]*failure{}
		}
		f.pods[uid] = one
	}
	one.err, one.pause = err, min(2*one.pause, lastPause)
	one.until = now.Add(one.pause)
}

// forget is for a pod that is over.
func (f *failures) forget(uid string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pods, uid)
}

// room says that a group is gone, and another may have its place.
func (f *failures) room() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.pods {
		one.until = time.Time{}
	}
}
