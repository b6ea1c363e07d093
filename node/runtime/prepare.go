package runtime

import (
	"context"
	"errors"
	"time"

	v1 "k8s.io/api/core/v1"

	"frankenetes.dev/node/provider"
)

// unclaimedAfter is how long a group that was made ahead waits for the kubelet.
const unclaimedAfter = time.Minute

// preparation is a sandbox that is made before the kubelet asks for it.
type preparation struct {
	cancel context.CancelFunc
	// done is closed when sandbox and err are set.
	done    chan struct{}
	sandbox *sandbox
	err     error
}

// Prepare starts to make a pod's group. The node calls it when it learns of a
// pod, so that the cloud works while the kubelet admits the pod and waits for
// its volumes. A pod that the kubelet then does not run is given to Discard.
func (r *Runtime) Prepare(pod *v1.Pod) {
	if pod.DeletionTimestamp != nil || pod.Status.Phase != v1.PodPending || len(pod.Status.ContainerStatuses) > 0 {
		return
	}
	uid := string(pod.UID)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.prepared[uid] != nil {
		return
	}
	for _, sb := range r.sandboxes {
		if sb.uid == uid {
			return
		}
	}
	ctx, cancel := context.WithCancel(r.life)
	p := &preparation{cancel: cancel, done: make(chan struct{})}
	r.prepared[uid] = p
	r.tasks.start(func() {
		p.sandbox, p.err = r.build(ctx, pod)
		close(p.done)
		r.expire(ctx, uid)
	})
}

// expire discards a preparation that nobody claims.
func (r *Runtime) expire(ctx context.Context, uid string) {
	timer := time.NewTimer(unclaimedAfter)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
		r.Discard(uid)
	}
}

// Discard gives up what was prepared for a pod, if the kubelet has not claimed
// it.
func (r *Runtime) Discard(uid string) {
	r.failures.forget(uid)
	p := r.take(uid)
	if p == nil {
		return
	}
	p.cancel()
	r.tasks.start(func() {
		<-p.done
		if p.sandbox != nil {
			r.abandon(p.sandbox)
		}
		r.opts.Images.Release(uid)
	})
}

// claim returns the sandbox that was prepared for a pod, nil if there is none:
// then it is made in the ordinary way. One that was refused stays refused.
func (r *Runtime) claim(ctx context.Context, uid string) (*sandbox, error) {
	p := r.take(uid)
	if p == nil {
		return nil, nil
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.cancel()
		<-p.done
	}
	p.cancel() // only ends expire
	if ctx.Err() != nil {
		if p.sandbox != nil {
			r.abandon(p.sandbox)
		}
		return nil, context.Cause(ctx)
	}
	if errors.Is(p.err, provider.ErrRefused) {
		return nil, p.err
	}
	if p.sandbox != nil && p.sandbox.group == "" {
		p.sandbox.done()
		return nil, nil
	}
	return p.sandbox, nil
}

func (r *Runtime) take(uid string) *preparation {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.prepared[uid]
	delete(r.prepared, uid)
	return p
}
