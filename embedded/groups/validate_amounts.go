package groups

import "math"

// What a container must ask for at least, and a group may at most, in cores and
// GB, as on ACI (sku Standard). With less, no container would start.
const (
	minCores, minMemory = 0.01, 0.1
	maxCores, maxMemory = 31, 240
)

// checkResources wants requests of every container, and limits between the
// container's request and the group's total.
func (v *validator) checkResources() error {
	for _, c := range v.group.Properties.Containers {
		r := c.Properties.Resources
		if r == nil || r.Requests == nil || r.Requests.CPU == nil || r.Requests.MemoryInGB == nil {
			return invalid("ResourceRequestsNotSpecified", "The resource requests are not specified in container '%s' of contain group '%s'. "+
				"Both memory and CPU requests are required since API version '2017-07-01-preview'.", c.Name, v.group.Name)
		}
		if r.Requests.GPU != nil || r.Limits != nil && r.Limits.GPU != nil {
			return notSupported("GPUs (container '%s')", c.Name)
		}
		if cpu, memory := *r.Requests.CPU, *r.Requests.MemoryInGB; cpu < minCores || memory < minMemory {
			return invalid("InvalidResourceRequests", "The resource requests in container '%s' of container group '%s' are '%v' CPU and '%v' GB memory. At least %v CPU and %v GB are required.",
				c.Name, v.group.Name, cpu, memory, minCores, minMemory)
		}
	}
	cpu, memory := v.group.total()
	if cpu > maxCores || memory > maxMemory {
		return invalid("InvalidResourceRequests", "The resource requests of container group '%s' are '%v' CPU and '%v' GB memory together. At most %d CPU and %d GB are allowed.",
			v.group.Name, cpu, memory, maxCores, maxMemory)
	}
	for _, c := range v.group.Properties.Containers {
		r := c.Properties.Resources
		if r.Limits == nil {
			continue
		}
		if err := v.checkLimit(c.Name, "Cpu", r.Requests.CPU, r.Limits.CPU, cpu); err != nil {
			return err
		}
		if err := v.checkLimit(c.Name, "MemoryInGB", r.Requests.MemoryInGB, r.Limits.MemoryInGB, memory); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) checkLimit(container, what string, request, limit *decimal, total decimal) error {
	switch {
	case limit == nil:
		return nil
	case *limit < *request:
		return invalid("ContainerLimitLessThanRequest", "The '%s' limit '%v' in container '%s' is less than its request '%v'.", what, *limit, container, *request)
	case *limit > total:
		return invalid("ContainerLimitGreaterThanContainerGroupTotalRequest",
			"The '%s' limit '%v' in container '%s' is greater than the total request '%v' of container group '%s'.", what, *limit, container, total, v.group.Name)
	}
	return nil
}

// total is what the application containers ask for together, in cores and GB.
func (g *Group) total() (cpu, memory decimal) {
	for _, c := range g.Properties.Containers {
		cpu += *c.Properties.Resources.Requests.CPU
		memory += *c.Properties.Resources.Requests.MemoryInGB
	}
	return cpu.rounded(), memory.rounded()
}

// rounded takes away what adding up binary fractions leaves: ten times 0.1 is
// 1. Nobody asks for less than a ten-thousandth.
func (d decimal) rounded() decimal { return decimal(math.Round(float64(d)*1e4) / 1e4) }
