package runtime

import (
	"context"
	"slices"
	"strings"
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
	used, err := r.gauge(ctx, c)
	if err != nil {
		return nil, err
	}
	return r.containerStats(measured{c, used}), nil
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
	var list []*runtimeapi.ContainerStats
	for _, m := range r.measure(ctx, wanted) {
		list = append(list, r.containerStats(m))
	}
	return list, nil
}

// PodSandboxStats returns what a pod uses: the sum of its containers. The
// agents' own share is the node's affair and left out.
func (r *Runtime) PodSandboxStats(ctx context.Context, id string) (*runtimeapi.PodSandboxStats, error) {
	sb, err := r.sandbox(id)
	if err != nil {
		return nil, err
	}
	return r.podStats(sb, r.measure(ctx, sb.all())), nil
}

// ListPodSandboxStats returns what the ready pods that a filter lets through use.
func (r *Runtime) ListPodSandboxStats(ctx context.Context, f *runtimeapi.PodSandboxStatsFilter) ([]*runtimeapi.PodSandboxStats, error) {
	var wanted []*sandbox
	for _, sb := range r.allSandboxes() {
		item := sb.item()
		if item.State == runtimeapi.PodSandboxState_SANDBOX_READY &&
			(f == nil || wantsSandbox(&runtimeapi.PodSandboxFilter{Id: f.Id, LabelSelector: f.LabelSelector}, item)) {
			wanted = append(wanted, sb)
		}
	}
	list := make([]*runtimeapi.PodSandboxStats, len(wanted))
	var all sync.WaitGroup
	for i, sb := range wanted {
		all.Go(func() { list[i] = r.podStats(sb, r.measure(ctx, sb.all())) })
	}
	all.Wait()
	return list, nil
}

// measured is a container that was asked what it uses.
type measured struct {
	container *container
	used      Used
}

// measure asks the agents of all containers that run, at once, and returns the
// answers in the containers' order; those that do not answer are left out.
func (r *Runtime) measure(ctx context.Context, containers []*container) []measured {
	list := make([]measured, len(containers))
	var all sync.WaitGroup
	for i, c := range containers {
		// What an ephemeral container uses is counted with the one that it runs in.
		if c.current() != runtimeapi.ContainerState_CONTAINER_RUNNING || c.ephemeral() {
			continue
		}
		all.Go(func() {
			used, err := r.gauge(ctx, c)
			if err != nil {
				r.log.Debug("usage of a container is unknown", "container", c.name(), "error", err)
				return
			}
			list[i] = measured{c, used}
		})
	}
	all.Wait()
	return slices.DeleteFunc(list, func(m measured) bool { return m.container == nil })
}

// gauge asks a container's agent what it uses.
func (r *Runtime) gauge(ctx context.Context, c *container) (Used, error) {
	ctx, cancel := context.WithTimeout(ctx, statsTimeout)
	defer cancel()
	agent, err := r.client(ctx, c.sandbox, c.place())
	if err != nil {
		return Used{}, err
	}
	u, err := agent.Usage(ctx, c.sandbox.diskAge())
	if err != nil {
		return Used{}, err
	}
	return r.meter.note(&c.reading, u), nil
}

// podUsage is what a pod's containers use together.
func podUsage(containers []measured) Used {
	sum := Used{Usage: protocol.Usage{Time: time.Now()}}
	for _, m := range containers {
		sum.add(m.used)
	}
	return sum
}

func (r *Runtime) podStats(sb *sandbox, containers []measured) *runtimeapi.PodSandboxStats {
	status, used := sb.status(), podUsage(containers)
	linux := &runtimeapi.LinuxPodSandboxStats{Cpu: cpu(used), Memory: memory(used)}
	for _, m := range containers {
		linux.Containers = append(linux.Containers, r.containerStats(m))
	}
	slices.SortFunc(linux.Containers, func(a, b *runtimeapi.ContainerStats) int {
		return strings.Compare(a.Attributes.Metadata.Name, b.Attributes.Metadata.Name)
	})
	return &runtimeapi.PodSandboxStats{
		Attributes: &runtimeapi.PodSandboxAttributes{
			Id: sb.id, Metadata: status.Metadata, Labels: status.Labels, Annotations: status.Annotations},
		Linux: linux,
	}
}

func (r *Runtime) containerStats(m measured) *runtimeapi.ContainerStats {
	c := m.container
	return &runtimeapi.ContainerStats{
		Attributes: &runtimeapi.ContainerAttributes{
			Id: c.id, Metadata: c.config.GetMetadata(), Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations()},
		Cpu: cpu(m.used), Memory: memory(m.used), WritableLayer: r.written(m.used),
	}
}

// written is what a container has written to its root file system, said to be on
// the node's own: the kubelet knows no other, and one group's is as large as
// another's.
func (r *Runtime) written(u Used) *runtimeapi.FilesystemUsage {
	if u.Written == nil {
		return nil
	}
	return &runtimeapi.FilesystemUsage{
		Timestamp: u.Written.Time.UnixNano(), FsId: &runtimeapi.FilesystemIdentifier{Mountpoint: r.opts.RootDir},
		UsedBytes: number(u.Written.Bytes), InodesUsed: number(u.Written.Inodes),
	}
}

func cpu(u Used) *runtimeapi.CpuUsage {
	usage := &runtimeapi.CpuUsage{Timestamp: u.Time.UnixNano(), UsageCoreNanoSeconds: number(u.CPUNanoseconds)}
	if u.Rated {
		usage.UsageNanoCores = number(u.NanoCores)
	}
	return usage
}

// memory leaves out what is available where there is no limit: for a pod and
// its node the sum of limits would say nothing.
func memory(u Used) *runtimeapi.MemoryUsage {
	usage := &runtimeapi.MemoryUsage{
		Timestamp: u.Time.UnixNano(), UsageBytes: number(u.MemoryBytes), WorkingSetBytes: number(u.WorkingSetBytes),
		RssBytes: number(u.RSSBytes), PageFaults: number(u.PageFaults), MajorPageFaults: number(u.MajorPageFaults),
	}
	if u.LimitBytes > 0 {
		usage.AvailableBytes = number(u.LimitBytes - min(u.WorkingSetBytes, u.LimitBytes))
	}
	return usage
}

func number(n uint64) *runtimeapi.UInt64Value { return &runtimeapi.UInt64Value{Value: n} }
