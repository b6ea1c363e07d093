package runtime

import (
	"context"
	"slices"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// family is one metric of /metrics/cadvisor: its name and labels are those that
// cAdvisor gives it, since that is what dashboards ask for. CRI has whole
// numbers only, so that CPU time is in whole seconds here; /metrics/resource
// and /stats/summary have it to the nanosecond.
type family struct {
	name, help string
	kind       runtimeapi.MetricType
	// value is what a container, a pod or the node shows; started is when a
	// container was, zero for the others. Ok says whether there is a value.
	value func(used Used, started time.Time) (n uint64, ok bool)
	// label comes after those that every metric has, with its one value.
	label, only string
}

// metricLabels are the labels that every metric has.
func metricLabels() []string {
	return []string{"container", "id", "image", "name", "namespace", "pod"}
}

func families() []family {
	gauge, counter := runtimeapi.MetricType_GAUGE, runtimeapi.MetricType_COUNTER
	always := func(value func(Used) uint64) func(Used, time.Time) (uint64, bool) {
		return func(u Used, _ time.Time) (uint64, bool) { return value(u), true }
	}
	return []family{
		{name: "container_cpu_usage_seconds_total", help: "Cumulative cpu time consumed in seconds.", kind: counter,
			value: always(func(u Used) uint64 { return u.CPUNanoseconds / uint64(time.Second) }), label: "cpu", only: "total"},
		{name: "container_memory_usage_bytes", help: "Current memory usage in bytes, including all memory regardless of when it was accessed.", kind: gauge,
			value: always(func(u Used) uint64 { return u.MemoryBytes })},
		{name: "container_memory_working_set_bytes", help: "Current working set in bytes.", kind: gauge,
			value: always(func(u Used) uint64 { return u.WorkingSetBytes })},
		{name: "container_memory_rss", help: "Size of RSS in bytes.", kind: gauge,
			value: always(func(u Used) uint64 { return u.RSSBytes })},
		{name: "container_spec_memory_limit_bytes", help: "Memory limit for the container.", kind: gauge,
			value: func(u Used, _ time.Time) (uint64, bool) { return u.LimitBytes, u.LimitBytes > 0 }},
		{name: "container_start_time_seconds", help: "Start time of the container since unix epoch in seconds.", kind: gauge,
			value: func(_ Used, started time.Time) (uint64, bool) { return uint64(started.Unix()), !started.IsZero() }},
		{name: "container_last_seen", help: "Last time a container was seen by the exporter.", kind: gauge,
			value: always(func(u Used) uint64 { return uint64(u.Time.Unix()) })},
	}
}

// ListMetricDescriptors returns the metrics that ListPodSandboxMetrics tells.
func (r *Runtime) ListMetricDescriptors(context.Context) ([]*runtimeapi.MetricDescriptor, error) {
	var list []*runtimeapi.MetricDescriptor
	for _, f := range families() {
		keys := metricLabels()
		if f.label != "" {
			keys = append(keys, f.label)
		}
		list = append(list, &runtimeapi.MetricDescriptor{Name: f.name, Help: f.help, LabelKeys: keys})
	}
	return list, nil
}

// ListPodSandboxMetrics returns what every container uses, every pod, and, with
// the id "/", the node.
func (r *Runtime) ListPodSandboxMetrics(ctx context.Context) ([]*runtimeapi.PodSandboxMetrics, error) {
	all := r.measure(ctx, r.allContainers())
	byPod := map[*sandbox][]measured{}
	for _, m := range all {
		byPod[m.container.sandbox] = append(byPod[m.container.sandbox], m)
	}
	list := []*runtimeapi.PodSandboxMetrics{{Metrics: metrics(r.nodeUsage(all), time.Time{}, "", "/", "", "", "", "")}}
	for sb, containers := range byPod {
		pod := &runtimeapi.PodSandboxMetrics{PodSandboxId: sb.id,
			Metrics: metrics(podUsage(containers), time.Time{}, "", sb.id, "", "", sb.namespace, sb.name)}
		for _, m := range containers {
			c := m.container
			pod.ContainerMetrics = append(pod.ContainerMetrics, &runtimeapi.ContainerMetrics{ContainerId: c.id,
				Metrics: metrics(m.used, c.startedAt(), c.name(), c.id, c.image.Ref, c.id, sb.namespace, sb.name)})
		}
		list = append(list, pod)
	}
	return list, nil
}

// metrics are all families' values for one thing, whose labels are in the order
// of metricLabels.
func metrics(used Used, started time.Time, labels ...string) []*runtimeapi.Metric {
	var list []*runtimeapi.Metric
	for _, f := range families() {
		n, ok := f.value(used, started)
		if !ok {
			continue
		}
		values := slices.Clone(labels)
		if f.label != "" {
			values = append(values, f.only)
		}
		list = append(list, &runtimeapi.Metric{
			Name: f.name, Timestamp: used.Time.UnixNano(), MetricType: f.kind, LabelValues: values, Value: number(n)})
	}
	return list
}
