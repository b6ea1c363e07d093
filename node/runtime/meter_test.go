package runtime

import (
	"slices"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
)

// at is what a container has used some time after a fixed moment.
func at(after time.Duration, cpu time.Duration) protocol.Usage {
	return protocol.Usage{Time: time.Unix(1000, 0).Add(after), CPUNanoseconds: uint64(cpu)}
}

func TestTheNodesTotalIsWhatAllHaveUsedAndNeverFalls(t *testing.T) {
	var m meter
	var one, two, next reading
	for _, step := range []struct {
		of   *reading
		cpu  time.Duration
		want time.Duration
	}{
		{&one, 3, 3}, {&two, 10, 13}, {&one, 5, 15},
		{&one, 4, 15}, // an answer that came late
		{&one, 5, 15}, {&next, 1, 16}, {&two, 11, 17},
	} {
		m.note(step.of, at(0, step.cpu))
		if got := m.sum(); got != uint64(step.want) {
			t.Errorf("after %d the total is %d, want %d", step.cpu, got, step.want)
		}
	}
}

func TestTheRateIsThatOfTheLastSeconds(t *testing.T) {
	var m meter
	var r reading
	for _, step := range []struct {
		after, cpu time.Duration
		rated      bool
		rate       time.Duration
	}{
		{0, 100, false, 0}, {rateFirst / 2, 200, false, 0},
		{rateFirst, 100 + 50, true, 50},            // the first, soon
		{rateFirst * 2, 1000, true, 50},            // others at the end of a window
		{rateWindow, 100 + 9*700, true, 700},       // of the whole window
		{rateWindow / 2, 100, true, 700},           // late
		{rateWindow * 2, 100 + 9*700, true, 0},     // idle
		{rateWindow*2 + time.Second, 7e9, true, 0}, // within the next
	} {
		used := m.note(&r, at(step.after, step.cpu))
		if used.Rated != step.rated || used.NanoCores != uint64(step.rate) {
			t.Errorf("after %s: a rate of %d, known %v; want %d, %v", step.after, used.NanoCores, used.Rated, step.rate, step.rated)
		}
	}
}

// sampled is a pod of containers that use so much memory each.
func sampled(pod string, memory ...uint64) (*sandbox, []measured) {
	sb := &sandbox{id: "id-of-" + pod, namespace: "default", name: pod, ready: true, config: &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: pod, Namespace: "default"}}}
	var all []measured
	for i, bytes := range memory {
		name := string(rune('z' - i))
		all = append(all, measured{
			container: &container{id: "id-of-" + name, sandbox: sb, image: images.Image{Ref: "shell"}, started: time.Unix(900, 0),
				config: &runtimeapi.ContainerConfig{Metadata: &runtimeapi.ContainerMetadata{Name: name}}},
			used: Used{Usage: protocol.Usage{Time: time.Unix(1000, 0), CPUNanoseconds: uint64(2500 * time.Millisecond), MemoryBytes: bytes + 3,
				WorkingSetBytes: bytes, RSSBytes: bytes - 1, LimitBytes: 4 * bytes, PageFaults: 5, MajorPageFaults: 1,
				Written: &protocol.Disk{Time: time.Unix(999, 0), Bytes: 11, Inodes: 2}}, NanoCores: 7, Rated: true},
		})
	}
	return sb, all
}

func TestAPodUsesWhatItsContainersUse(t *testing.T) {
	sb, containers := sampled("web", 100, 200)
	r := &Runtime{opts: Options{RootDir: "/kubelet"}}
	stats := r.podStats(sb, containers)
	cpu, memory := stats.Linux.Cpu, stats.Linux.Memory
	if cpu.UsageCoreNanoSeconds.Value != uint64(5*time.Second) || cpu.UsageNanoCores.Value != 14 {
		t.Errorf("the CPU is %v", cpu)
	}
	if memory.UsageBytes.Value != 306 || memory.WorkingSetBytes.Value != 300 || memory.RssBytes.Value != 298 || memory.PageFaults.Value != 10 || memory.AvailableBytes != nil {
		t.Errorf("the memory is %v", memory)
	}
	first := stats.Linux.Containers[0]
	if first.Attributes.Metadata.Name != "y" || first.Memory.AvailableBytes.Value != 600 || first.Cpu.Timestamp != time.Unix(1000, 0).UnixNano() {
		t.Errorf("the first container is %v", first)
	}
	if disk := first.WritableLayer; disk.UsedBytes.Value != 11 || disk.InodesUsed.Value != 2 || disk.FsId.Mountpoint != "/kubelet" || disk.Timestamp != time.Unix(999, 0).UnixNano() {
		t.Errorf("its disk is %v", disk)
	}
	if empty := r.podStats(sb, nil); empty.Linux.Cpu.UsageNanoCores != nil || empty.Linux.Memory.WorkingSetBytes.Value != 0 {
		t.Errorf("a pod of which nothing is known: %v", empty.Linux)
	}
}

func TestMetricsHaveTheLabelsThatAreDescribed(t *testing.T) {
	var r Runtime
	described := map[string]int{}
	list, err := r.ListMetricDescriptors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		described[d.Name] = len(d.LabelKeys)
	}
	_, containers := sampled("web", 100)
	m := containers[0]
	values := map[string]uint64{}
	for _, metric := range metrics(m.used, m.container.startedAt(), "z", "id-of-z", "shell", "id-of-z", "default", "web") {
		if n, ok := described[metric.Name]; !ok || n != len(metric.LabelValues) || metric.LabelValues[5] != "web" {
			t.Errorf("%v, and %d labels are described", metric, n)
		}
		values[metric.Name] = metric.Value.Value
	}
	for name, want := range map[string]uint64{
		"container_cpu_usage_seconds_total": 2, "container_memory_usage_bytes": 103, "container_memory_working_set_bytes": 100,
		"container_memory_rss": 99, "container_spec_memory_limit_bytes": 400, "container_start_time_seconds": 900, "container_last_seen": 1000,
	} {
		if values[name] != want {
			t.Errorf("%s is %d, want %d", name, values[name], want)
		}
	}
	if len(values) != len(described) {
		t.Errorf("%d of %d metrics are told of a container", len(values), len(described))
	}
	for _, metric := range metrics(m.used, time.Time{}, "", "/", "", "", "", "") {
		if slices.Contains([]string{"container_start_time_seconds"}, metric.Name) {
			t.Errorf("the node has a %v", metric)
		}
	}
}
