package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
	"frankenetes.dev/node/provider"
)

// build makes a sandbox for a pod, with its group if all images are known.
func (r *Runtime) build(ctx context.Context, pod *v1.Pod) (*sandbox, error) {
	if err := errors.Join(check(pod), r.level.check(pod)); err != nil {
		return nil, err
	}
	started := time.Now()
	if err := r.failures.hold(string(pod.UID), started); err != nil {
		return nil, err
	}
	sb := r.newSandbox(pod.Namespace, pod.Name, string(pod.UID))
	sb.progress.since = started
	accounts, err := r.resolve(ctx, pod, sb)
	if err != nil {
		r.log.Info("images of a pod cannot be resolved", "pod", pod.Namespace+"/"+pod.Name, "error", err)
		return sb, nil
	}
	resolved := time.Now()
	r.reach(sb, StageImages)
	sb.sizes, sb.shared = sizesFor(pod), sharesVolume(pod)
	sb.group = provider.GroupName(pod.Namespace, pod.Name, string(pod.UID), sb.id)
	r.mu.Lock()
	r.groups[sb.group] = sb
	r.mu.Unlock()
	err = r.create(ctx, pod, sb, accounts)
	r.failures.note(sb.uid, err, time.Now())
	switch {
	case errors.Is(err, provider.ErrRefused):
		r.forget(sb)
		return nil, err
	case err != nil:
		r.abandon(sb)
		return nil, err
	}
	r.log.Info("group is up", "pod", pod.Namespace+"/"+pod.Name, "group", sb.group, "ip", sb.ip,
		"images", resolved.Sub(started).Round(time.Millisecond), "took", time.Since(started).Round(time.Millisecond))
	return sb, nil
}

// resolve finds out what the pod's images are, all at once.
func (r *Runtime) resolve(ctx context.Context, pod *v1.Pod, sb *sandbox) (map[string]*images.Account, error) {
	accounts := map[string]*images.Account{}
	var mu sync.Mutex
	var all sync.WaitGroup
	var failures []error
	for _, c := range containersOf(pod) {
		all.Go(func() {
			image, account, err := r.opts.Images.ForPod(ctx, string(pod.UID), c.Image, c.ImagePullPolicy)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, err)
			}
			sb.images[c.Name], accounts[c.Name] = image, account
		})
	}
	all.Wait()
	return accounts, errors.Join(failures...)
}

// create has the provider make the group and waits for the pod agent's call.
func (r *Runtime) create(ctx context.Context, pod *v1.Pod, sb *sandbox, accounts map[string]*images.Account) error {
	ctx, cancel := context.WithTimeoutCause(ctx, groupTimeout, fmt.Errorf("it did not call within %s", groupTimeout))
	defer cancel()
	defer context.AfterFunc(sb.life, cancel)()
	p := plan{pod: pod, node: r.opts, name: sb.group, sandbox: sb.id, images: sb.images, accounts: accounts, token: r.opts.Agents.Issue}
	group, err := p.group()
	if err != nil {
		return err
	}
	if err := r.opts.Provider.Create(ctx, group); err != nil {
		return err
	}
	r.reach(sb, StageCloud)
	agent, err := r.opts.Agents.Await(ctx, protocol.ID{Group: sb.group, Container: protocol.PodAgent})
	if err != nil {
		return err
	}
	hello, err := agent.Hello(ctx)
	if err != nil {
		return fmt.Errorf("ask the pod agent of %s for its address: %w", sb.group, err)
	}
	sb.mu.Lock()
	sb.ip, sb.exact, sb.ports = hello.IP, hello.Exact, hello.Ports
	if hello.Exact {
		sb.memory, sb.clean = inMemory(pod, hello.Ports), hello.CleanRoot && restarts(pod)
	}
	sb.mu.Unlock()
	r.reach(sb, StageAgent)
	r.learn(hello)
	if !hello.Exact {
		return checkPlain(pod)
	}
	return nil
}

// destroy deletes a sandbox's group, if it has one, and returns when it is gone.
func (r *Runtime) destroy(ctx context.Context, sb *sandbox) error {
	if sb.group == "" {
		return nil
	}
	if err := r.opts.Provider.Delete(ctx, sb.group); err != nil {
		return err
	}
	r.forget(sb)
	r.failures.room()
	return nil
}

// forget lets nobody call any more for a group that does not exist.
func (r *Runtime) forget(sb *sandbox) {
	sb.done()
	r.opts.Agents.Forget(sb.group)
	r.mu.Lock()
	delete(r.groups, sb.group)
	r.mu.Unlock()
}

// abandon deletes a group that is of no use, in the background: what cannot be
// deleted now is found by the next look at the groups.
func (r *Runtime) abandon(sb *sandbox) {
	sb.done()
	r.tasks.start(func() {
		ctx, cancel := context.WithTimeout(r.life, cleanTimeout)
		defer cancel()
		if err := r.destroy(ctx, sb); err != nil {
			r.log.Warn("group is left over for now", "group", sb.group, "error", err)
			r.mu.Lock()
			delete(r.groups, sb.group)
			r.mu.Unlock()
		}
	})
}

// conclude marks a sandbox whose group is gone, and what ran in it.
func (r *Runtime) conclude(sb *sandbox, why string) {
	sb.done()
	r.unwatch(sb)
	changed := sb.setReady(false)
	for _, c := range sb.all() {
		r.exit(c, protocol.State{Phase: protocol.Exited, ExitCode: 137, FinishedAt: time.Now()}, why)
	}
	r.record(sb)
	if changed {
		r.publish(sb, sb.id, runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT)
	}
}

// unready is called for a sandbox without a group. It tells why its containers
// cannot be created; when nothing is in the way any more, the kubelet is made
// to replace the sandbox.
func (r *Runtime) unready(ctx context.Context, sb *sandbox) error {
	pod, ok := r.opts.Pod(sb.namespace, sb.name)
	if !ok || string(pod.UID) != sb.uid {
		return fmt.Errorf("pod %s/%s is gone", sb.namespace, sb.name)
	}
	var waiting []string
	for _, c := range containersOf(pod) {
		if _, _, err := r.opts.Images.ForPod(ctx, sb.uid, c.Image, c.ImagePullPolicy); err != nil {
			waiting = append(waiting, c.Name)
		}
	}
	if len(waiting) > 0 {
		return fmt.Errorf("a container group needs all its images, and that of %s is missing", strings.Join(waiting, ", "))
	}
	r.conclude(sb, "its images are there now")
	return errors.New("the images are there now: the sandbox is made again")
}
