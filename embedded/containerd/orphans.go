package containerd

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// kindLabel is on all containers of containerd's CRI plugin.
const kindLabel = "io.cri-containerd.kind"

// orphans returns the containers, sandboxes among them, that containerd has
// and its CRI plugin does not know: nobody can ever ask for their removal.
func (r *Runtime) orphans(ctx context.Context) ([]string, error) {
	all, err := r.client.ContainerService().List(ctx, "labels.\""+kindLabel+"\"") // first: one that is added meanwhile is known
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	known, err := r.known(ctx)
	if err != nil {
		return nil, err
	}
	var orphans []string
	for _, c := range all {
		if !known[c.ID] {
			orphans = append(orphans, c.ID)
		}
	}
	return orphans, nil
}

// known returns the ids of all that the CRI plugin knows.
func (r *Runtime) known(ctx context.Context) (map[string]bool, error) {
	sandboxes, err := r.CRI().ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	containers, err := r.CRI().ListContainers(ctx, &runtimeapi.ListContainersRequest{})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	known := map[string]bool{}
	for _, s := range sandboxes.Items {
		known[s.Id] = true
	}
	for _, c := range containers.Containers {
		known[c.Id] = true
	}
	return known, nil
}

// removeOrphan ends a container, if it runs, and removes it with its snapshot.
func (r *Runtime) removeOrphan(ctx context.Context, id string) error {
	if err := r.Discard(ctx, id); err != nil {
		return err
	}
	container, err := r.client.LoadContainer(ctx, id)
	if err == nil {
		err = container.Delete(ctx, client.WithSnapshotCleanup)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove container %s: %w", id, err)
	}
	return nil
}

// Discard ends what runs of a container, whatever the CRI plugin takes it for.
// One that it has given up starting may have been started all the same, and
// cannot be removed as long as it runs. What is absent is no error.
func (r *Runtime) Discard(ctx context.Context, id string) error {
	ctx = namespaces.WithNamespace(ctx, Namespace)
	container, err := r.client.LoadContainer(ctx, id)
	var task client.Task
	if err == nil {
		task, err = container.Task(ctx, nil)
	}
	if err == nil {
		_, err = task.Delete(ctx, client.WithProcessKill)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("end container %s: %w", id, err)
	}
	return nil
}

// expireLabel is on the leases that containerd takes for a single call.
const expireLabel = "containerd.io/gc.expire"

// strayLeases returns the leases whose holders are no more: sandboxes, each of
// which has one with its id and without labels, and the calls of a containerd
// that was killed, whose leases would keep what they were making for a day.
func (r *Runtime) strayLeases(ctx context.Context) ([]string, error) {
	socket, err := os.Stat(r.options.Socket())
	if err != nil {
		return nil, fmt.Errorf("look since when containerd listens: %w", err)
	}
	all, err := r.client.LeasesService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	known, err := r.known(ctx)
	if err != nil {
		return nil, err
	}
	var strays []string
	for _, l := range all {
		_, ofCall := l.Labels[expireLabel]
		ofSandbox := len(l.Labels) == 0
		if ofCall && l.CreatedAt.Before(socket.ModTime()) || ofSandbox && !known[l.ID] {
			strays = append(strays, l.ID)
		}
	}
	return strays, nil
}

func (r *Runtime) removeLease(ctx context.Context, id string) error {
	err := r.client.LeasesService().Delete(ctx, leases.Lease{ID: id})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove lease %s: %w", id, err)
	}
	return nil
}
