package runtime

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// RunPodSandbox makes the group of a pod and returns when its pod agent has
// called. If an image of the pod cannot be resolved, the sandbox has no group:
// the kubelet's own pull of that image then says what is wrong.
func (r *Runtime) RunPodSandbox(ctx context.Context, config *runtimeapi.PodSandboxConfig, handler string) (string, error) {
	meta := config.GetMetadata()
	if handler != "" {
		return "", status.Errorf(codes.InvalidArgument, "run sandbox of pod %s/%s: there is no runtime handler %q",
			meta.GetNamespace(), meta.GetName(), handler)
	}
	pod, ok := r.opts.Pod(meta.GetNamespace(), meta.GetName())
	if !ok || string(pod.UID) != meta.GetUid() {
		return "", status.Errorf(codes.NotFound, "run sandbox of pod %s/%s: no pod with UID %s is on this node",
			meta.GetNamespace(), meta.GetName(), meta.GetUid())
	}
	sb, err := r.claim(ctx, meta.GetUid())
	if sb == nil && err == nil {
		sb, err = r.build(ctx, pod)
	}
	if err != nil {
		return "", fmt.Errorf("run sandbox of pod %s/%s: %w", meta.GetNamespace(), meta.GetName(), err)
	}
	sb.mu.Lock()
	sb.config = config
	sb.mu.Unlock()
	r.mu.Lock()
	r.sandboxes[sb.id] = sb
	r.mu.Unlock()
	r.record(sb)
	r.publish(sb, sb.id, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT)
	return sb.id, nil
}

// StopPodSandbox deletes the group and returns when it is gone: whatever still
// ran in it has been killed.
func (r *Runtime) StopPodSandbox(ctx context.Context, id string) error {
	sb, err := r.sandbox(id)
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if err := r.destroy(ctx, sb); err != nil {
		return fmt.Errorf("stop sandbox of pod %s/%s: %w", sb.namespace, sb.name, err)
	}
	r.conclude(sb, "its sandbox was stopped")
	return nil
}

// RemovePodSandbox forgets a sandbox and its containers, stopping it if needed.
func (r *Runtime) RemovePodSandbox(ctx context.Context, id string) error {
	sb, err := r.sandbox(id)
	if status.Code(err) == codes.NotFound {
		return nil
	}
	if err := r.StopPodSandbox(ctx, id); err != nil {
		return err
	}
	for _, c := range sb.all() {
		if err := r.RemoveContainer(ctx, c.id); err != nil {
			return err
		}
	}
	r.mu.Lock()
	delete(r.sandboxes, id)
	last := true
	for _, other := range r.sandboxes {
		last = last && other.uid != sb.uid
	}
	r.mu.Unlock()
	if last {
		r.opts.Images.Release(sb.uid)
	}
	r.unrecord(sb)
	r.publish(sb, sb.id, runtimeapi.ContainerEventType_CONTAINER_DELETED_EVENT)
	return nil
}

// PodSandboxStatus returns the state of a sandbox.
func (r *Runtime) PodSandboxStatus(_ context.Context, id string, _ bool) (*runtimeapi.PodSandboxStatusResponse, error) {
	sb, err := r.sandbox(id)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.PodSandboxStatusResponse{Status: sb.status()}, nil
}

// ListPodSandbox returns the sandboxes that a filter lets through.
func (r *Runtime) ListPodSandbox(_ context.Context, filter *runtimeapi.PodSandboxFilter) ([]*runtimeapi.PodSandbox, error) {
	var list []*runtimeapi.PodSandbox
	for _, sb := range r.allSandboxes() {
		if item := sb.item(); wantsSandbox(filter, item) {
			list = append(list, item)
		}
	}
	return list, nil
}

// UpdatePodSandboxResources is refused: a group's size is fixed when it is made.
func (r *Runtime) UpdatePodSandboxResources(context.Context, *runtimeapi.UpdatePodSandboxResourcesRequest) (*runtimeapi.UpdatePodSandboxResourcesResponse, error) {
	return nil, status.Error(codes.Unimplemented, errFixedSize.Error())
}

var errFixedSize = errors.New("a container group's size is fixed when it is made")

// sandbox finds a sandbox by ID.
func (r *Runtime) sandbox(id string) (*sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if sb := r.sandboxes[id]; sb != nil {
		return sb, nil
	}
	return nil, status.Errorf(codes.NotFound, "there is no sandbox %s", id)
}

func (r *Runtime) allSandboxes() []*sandbox {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*sandbox, 0, len(r.sandboxes))
	for _, sb := range r.sandboxes {
		all = append(all, sb)
	}
	return all
}
