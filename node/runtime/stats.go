package runtime

import (
	"context"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
)

// statsTimeout bounds the wait for one agent: a silent one must not hold up the
// page of all others.
const statsTimeout = 2 * time.Second

// ContainerStats returns what a container uses.
func (r *Runtime) ContainerStats(ctx context.Context, id string) (*runtimeapi.ContainerStats, error) {
	c, err := r.running(id)
	if err != nil {
		return nil, err
	}
	return r.usage(ctx, c)
}

// ListContainerStats returns what the containers that a filter lets through use.
func (r *Runtime) ListContainerStats(ctx context.Context, f *runtimeapi.ContainerStatsFilter) ([]*runtimeapi.ContainerStats, error) {
	var wanted []*container
	for _, c := range r.allContainers() {
		item := c.item()
		if f == nil || wantsContainer(&runtimeapi.ContainerFilter{Id: f.Id, PodSandboxId: f.PodSandboxId, LabelSelector: f.LabelSelector}, item) {
			wanted = append(wanted, c)
		}
	}
	return r.usages(ctx, wanted), nil
}

// PodSandboxStats returns what a pod uses: the sum of its containers. The
// agents' own share is the node's affair and left out.
func (r *Runtime) PodSandboxStats(ctx context.Context, id string) (*runtimeapi.PodSandboxStats, error) {
	sb, err := r.sandbox(id)
	if err != nil {
		return nil, err
	}
	return r.podUsage(ctx, sb), nil
}

// ListPodSandboxStats returns what the ready pods that a filter lets through use.
func (r *Runtime) ListPodSandboxStats(ctx context.Context, f *runtimeapi.PodSandboxStatsFilter) ([]*runtimeapi.PodSandboxStats, error) {
	var mu sync.Mutex
	var all sync.WaitGroup
	var list []*runtimeapi.PodSandboxStats
	for _, sb := range r.allSandboxes() {
		item := sb.item()
		if item.State != runtimeapi.PodSandboxState_SANDBOX_READY ||
			f != nil && !wantsSandbox(&runtimeapi.PodSandboxFilter{Id: f.Id, LabelSelector: f.LabelSelector}, item) {
			continue
		}
		all.Go(func() {
			stats := r.podUsage(ctx, sb)
			mu.Lock()
			defer mu.Unlock()
			list = append(list, stats)
		})
	}
	all.Wait()
	return list, nil
}

// ListMetricDescriptors says that there are no further metrics.
func (r *Runtime) ListMetricDescriptors(context.Context) ([]*runtimeapi.MetricDescriptor, error) {
	return nil, nil
}

// ListPodSandboxMetrics says that there are no further metrics.
func (r *Runtime) ListPodSandboxMetrics(context.Context) ([]*runtimeapi.PodSandboxMetrics, error) {
	return nil, nil
}

func (r *Runtime) podUsage(ctx context.Context, sb *sandbox) *runtimeapi.PodSandboxStats {
	status := sb.status()
	sum := protocol.Usage{Time: time.Now()}
	containers := r.usages(ctx, sb.all())
	for _, c := range containers {
		sum.CPUNanoseconds += c.Cpu.UsageCoreNanoSeconds.Value
		sum.MemoryBytes += c.Memory.UsageBytes.Value
		sum.WorkingSetBytes += c.Memory.WorkingSetBytes.Value
	}
	return &runtimeapi.PodSandboxStats{
		Attributes: &runtimeapi.PodSandboxAttributes{
			Id: sb.id, Metadata: status.Metadata, Labels: status.Labels, Annotations: status.Annotations},
		Linux: &runtimeapi.LinuxPodSandboxStats{Cpu: cpu(sum), Memory: memory(sum), Containers: containers},
	}
}

// usages asks the agents of all containers that run, at once; those that do
// not answer are left out.
func (r *Runtime) usages(ctx context.Context, containers []*container) []*runtimeapi.ContainerStats {
	var mu sync.Mutex
	var all sync.WaitGroup
	var list []*runtimeapi.ContainerStats
	for _, c := range containers {
		if c.current() != runtimeapi.ContainerState_CONTAINER_RUNNING {
			continue
		}
		all.Go(func() {
			stats, err := r.usage(ctx, c)
			if err != nil {
				r.log.Debug("usage of a container is unknown", "container", c.name(), "error", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			list = append(list, stats)
		})
	}
	all.Wait()
	return list
}

func (r *Runtime) usage(ctx context.Context, c *container) (*runtimeapi.ContainerStats, error) {
	ctx, cancel := context.WithTimeout(ctx, statsTimeout)
	defer cancel()
	agent, err := r.client(ctx, c.sandbox, c.name())
	if err != nil {
		return nil, err
	}
	u, err := agent.Usage(ctx)
	if err != nil {
		return nil, err
	}
	return &runtimeapi.ContainerStats{
		Attributes: &runtimeapi.ContainerAttributes{
			Id: c.id, Metadata: c.config.GetMetadata(), Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations()},
		Cpu: cpu(u), Memory: memory(u),
	}, nil
}

func cpu(u protocol.Usage) *runtimeapi.CpuUsage {
	return &runtimeapi.CpuUsage{Timestamp: u.Time.UnixNano(), UsageCoreNanoSeconds: &runtimeapi.UInt64Value{Value: u.CPUNanoseconds}}
}

func memory(u protocol.Usage) *runtimeapi.MemoryUsage {
	return &runtimeapi.MemoryUsage{Timestamp: u.Time.UnixNano(),
		UsageBytes:      &runtimeapi.UInt64Value{Value: u.MemoryBytes},
		WorkingSetBytes: &runtimeapi.UInt64Value{Value: u.WorkingSetBytes}}
}
