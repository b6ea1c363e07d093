package runtime

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"frankenetes.dev/node/provider"
)

// size is an amount of resources in the steps in which groups are sized: a
// hundredth of a CPU and a tenth of a GB. Amounts are rounded up: a container
// that gets less than it asked for is killed for it.
type size struct{ cpu, memory int64 }

const (
	// A group has at least one CPU and one GB in all.
	leastCPU, leastMemory = 100, 10
	// milliPerStep and bytesPerStep convert Kubernetes' units.
	milliPerStep, bytesPerStep = 10, 100_000_000
)

var (
	// unstated is for a container that asks for nothing.
	unstated = size{cpu: 10, memory: 2}
	// least is the smallest that a container can be: the pod agent, and init
	// containers, which run when the others do not.
	least = size{cpu: 1, memory: 1}
)

// Overhead is what every group has beside the containers of its pod: the pod
// agent.
func Overhead() v1.ResourceList {
	return v1.ResourceList{
		v1.ResourceCPU:    *resource.NewMilliQuantity(least.cpu*milliPerStep, resource.DecimalSI),
		v1.ResourceMemory: *resource.NewQuantity(least.memory*bytesPerStep, resource.DecimalSI),
	}
}

// sizes are the requests and limits of a group's containers by name. The pod
// agent gets what is missing to the least size of a group.
type sizes map[string]struct{ request, limit size }

// sizesOf computes what the containers of a pod's group ask for. The group's
// size is the sum of the requests, and bounds every limit.
//
// A memory limit above that sum makes the group larger, since memory cannot be
// squeezed; a CPU limit above it is cut, since CPU can, and costs money.
func sizesOf(pod *v1.Pod, agent string) sizes {
	requests, limits := map[string]size{}, map[string]size{}
	var sum, need size
	for i, c := range containersOf(pod) {
		request, limit := steps(c.Resources.Requests), steps(c.Resources.Limits)
		need = larger(need, size{cpu: request.cpu, memory: max(request.memory, limit.memory)})
		if i < len(pod.Spec.InitContainers) && !restartable(c) {
			request = least
		}
		requests[c.Name], limits[c.Name] = orUnstated(request), limit
		sum = plus(sum, requests[c.Name])
	}
	need = larger(need, size{cpu: leastCPU, memory: leastMemory})
	if whole := pod.Spec.Resources; whole != nil {
		need = larger(need, larger(steps(whole.Requests), size{memory: steps(whole.Limits).memory}))
	}
	need = plus(need, steps(pod.Spec.Overhead))
	rest := larger(least, size{cpu: need.cpu - sum.cpu, memory: need.memory - sum.memory})
	total := plus(sum, rest)
	// Ephemeral containers run in the pod agent's.
	all := sizes{agent: {request: rest, limit: total}}
	for name, request := range requests {
		all[name] = struct{ request, limit size }{request, bounded(limits[name], request, total)}
	}
	return all
}

// bounded returns a limit that is stated and possible: at least the request,
// at most the total, which is also what no limit means.
func bounded(limit, request, total size) size {
	pick := func(limit, request, total int64) int64 {
		if limit == 0 {
			return total
		}
		return min(max(limit, request), total)
	}
	return size{cpu: pick(limit.cpu, request.cpu, total.cpu), memory: pick(limit.memory, request.memory, total.memory)}
}

// orUnstated fills in what a request does not say.
func orUnstated(request size) size {
	if request.cpu == 0 {
		request.cpu = unstated.cpu
	}
	if request.memory == 0 {
		request.memory = unstated.memory
	}
	return request
}

func steps(list v1.ResourceList) size {
	return size{
		cpu:    roundUp(list.Cpu().MilliValue(), milliPerStep),
		memory: roundUp(list.Memory().Value(), bytesPerStep),
	}
}

func roundUp(amount, step int64) int64 { return (amount + step - 1) / step }

func plus(a, b size) size { return size{a.cpu + b.cpu, a.memory + b.memory} }

func larger(a, b size) size { return size{max(a.cpu, b.cpu), max(a.memory, b.memory)} }

// resources returns the size as the provider takes it.
func (s size) resources() provider.Resources {
	return provider.Resources{CPU: float64(s.cpu) / 100, MemoryGB: float64(s.memory) / 10}
}

// restartable reports whether an init container goes on beside the others.
func restartable(c *v1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways
}
