package e2e

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kubeletPages is where the API server gives access to the node's kubelet.
const kubeletPages = "/api/v1/nodes/virtual-kubelet/proxy"

// used is what the summary says of one thing.
type used struct {
	Name      string
	StartTime time.Time
	CPU       struct{ UsageNanoCores, UsageCoreNanoSeconds float64 }
	Memory    struct{ AvailableBytes, UsageBytes, WorkingSetBytes, RSSBytes float64 }
}

type summary struct {
	Node used
	Pods []struct {
		used
		PodRef     struct{ Name string }
		Containers []used
	}
}

// testUsage looks at the three pages on which a kubelet tells what its pods
// use, for a container that works and one that waits.
func testUsage(m *operator) {
	m.apply("usage.yaml")
	m.kubectl("wait", "pod/usage", "--for=condition=Ready", "--timeout", patience.String())
	m.eventually("the summary", func() error { return checkSummary(m) })
	m.eventually("the resource metrics", func() error {
		return checkMetrics(m.kubectl("get", "--raw", kubeletPages+"/metrics/resource"), "node_cpu_usage_seconds_total", "node_memory_working_set_bytes")
	})
	m.eventually("cAdvisor's metrics", func() error {
		return checkMetrics(m.kubectl("get", "--raw", kubeletPages+"/metrics/cadvisor"),
			`container_cpu_usage_seconds_total{id="/"}`, `container_memory_working_set_bytes{id="/"}`)
	})
	// A second run counts from nothing.
	before := series(m.kubectl("get", "--raw", kubeletPages+"/metrics/resource"), `container_cpu_usage_seconds_total{container="works"}`)
	m.killAll("usage", "works")
	m.eventually("the time of the second run", func() error {
		now := series(m.kubectl("get", "--raw", kubeletPages+"/metrics/resource"), `container_cpu_usage_seconds_total{container="works"}`)
		if now <= 0 || now >= before {
			return fmt.Errorf("it has used %g s, the first had %g s", now, before)
		}
		return nil
	})
	m.kubectl("delete", "pod", "usage", "--wait=true")
}

func checkSummary(m *operator) error {
	var s summary
	if err := json.Unmarshal([]byte(m.kubectl("get", "--raw", kubeletPages+"/stats/summary")), &s); err != nil {
		m.T.Fatal(err)
	}
	var memory, cpu float64
	for _, p := range s.Pods {
		for _, c := range p.Containers {
			if c.Memory.WorkingSetBytes <= 0 || c.Memory.WorkingSetBytes > c.Memory.UsageBytes || c.StartTime.IsZero() {
				return fmt.Errorf("container %s of pod %s: %+v", c.Name, p.PodRef.Name, c)
			}
			memory += c.Memory.WorkingSetBytes
			cpu += c.CPU.UsageCoreNanoSeconds
		}
		if p.PodRef.Name != "usage" {
			continue
		}
		all := map[string]used{}
		for _, c := range p.Containers {
			all[c.Name] = c
		}
		works, waits := all["works"], all["waits"]
		// It may have 0.3 CPUs, and gets what the machine has to spare.
		if rate := works.CPU.UsageNanoCores; rate < 0.02e9 || rate > 0.5e9 {
			return fmt.Errorf("who works uses %g nanocores", rate)
		}
		if rate := waits.CPU.UsageNanoCores; rate > works.CPU.UsageNanoCores/2 {
			return fmt.Errorf("who waits uses %g nanocores", rate)
		}
		if free := works.Memory.AvailableBytes + works.Memory.WorkingSetBytes; free < 64<<20 || free > 256<<20 {
			return fmt.Errorf("who may have 100 MB can have %g", free)
		}
		if p.CPU.UsageCoreNanoSeconds < works.CPU.UsageCoreNanoSeconds || p.Memory.WorkingSetBytes < works.Memory.WorkingSetBytes+waits.Memory.WorkingSetBytes {
			return fmt.Errorf("the pod uses less than its containers: %+v", p.used)
		}
	}
	// The two were not looked at in the same moment.
	if node := s.Node; node.CPU.UsageCoreNanoSeconds < cpu/2 || node.CPU.UsageNanoCores <= 0 || node.Memory.WorkingSetBytes < memory/2 || node.Memory.WorkingSetBytes > 2*memory {
		return fmt.Errorf("all containers use %g ns and %g bytes, the node %+v", cpu, memory, node)
	}
	if len(s.Pods) == 0 {
		return fmt.Errorf("there are no pods")
	}
	return nil
}

// checkMetrics looks for both containers, and for the node under the names given.
func checkMetrics(page, nodeCPU, nodeMemory string) error {
	values := map[string]float64{}
	for _, c := range []string{"works", "waits"} {
		for _, name := range []string{"container_cpu_usage_seconds_total", "container_memory_working_set_bytes", "container_start_time_seconds"} {
			values[name+c] = series(page, name+`{container="`+c+`"}`)
		}
		if started := time.Unix(int64(values["container_start_time_seconds"+c]), 0); time.Since(started) > time.Hour || time.Until(started) > time.Minute {
			return fmt.Errorf("%s was started %s", c, started)
		}
		if values["container_memory_working_set_bytes"+c] < 1<<20 {
			return fmt.Errorf("%s uses %g bytes", c, values["container_memory_working_set_bytes"+c])
		}
	}
	works, node := values["container_cpu_usage_seconds_totalworks"], series(page, nodeCPU)
	// One page has whole seconds.
	if works < 1 || node < works-1 {
		return fmt.Errorf("who works has used %g s, the node %g s", works, node)
	}
	if sum, node := values["container_memory_working_set_bytesworks"]+values["container_memory_working_set_byteswaits"], series(page, nodeMemory); node < sum/2 {
		return fmt.Errorf("two containers use %g bytes, the node %g", sum, node)
	}
	return nil
}

// series returns the value of the first series of a page of metrics that has a
// name and, if one is given in braces, a label; -1 if there is none.
func series(page, want string) float64 {
	name, label, _ := strings.Cut(strings.TrimSuffix(want, "}"), "{")
	for line := range strings.Lines(page) {
		got, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		metric, labels, _ := strings.Cut(got, "{")
		if metric != name || !strings.Contains(","+labels, ","+label) {
			continue
		}
		value, _, _ := strings.Cut(rest, " ") // a time may follow
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			return n
		}
	}
	return -1
}
