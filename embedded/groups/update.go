package groups

import "strings"

// canBecome reports whether a group that runs can be made another one. What it
// has of the machine, where it is and how it restarts cannot be changed.
func (g *Group) canBecome(next *Group) bool {
	a, b := &g.Properties, &next.Properties
	cpu, memory := g.total()
	nextCPU, nextMemory := next.total()
	switch {
	case a.OSType != b.OSType, a.RestartPolicy != b.RestartPolicy, !strings.EqualFold(g.subnetID(), next.subnetID()):
		return false
	case len(a.Containers) != len(b.Containers), cpu != nextCPU, memory != nextMemory:
		return false
	}
	for _, c := range b.Containers {
		if before := g.resources(c.Name); before != nil && !before.equal(c.Properties.Resources) {
			return false
		}
	}
	return true
}

// resources returns those of a container, nil if there is none of that name.
func (g *Group) resources(container string) *Resources {
	for _, c := range g.Properties.Containers {
		if c.Name == container {
			return c.Properties.Resources
		}
	}
	return nil
}

func (r *Resources) equal(other *Resources) bool {
	return r.Requests.equal(other.Requests) && r.Limits.equal(other.Limits)
}

func (a *Amount) equal(b *Amount) bool {
	if a == nil || b == nil {
		a, b = orNone(a), orNone(b) // limits without a figure are none
	}
	return same(a.CPU, b.CPU) && same(a.MemoryInGB, b.MemoryInGB)
}

func orNone(a *Amount) *Amount {
	if a == nil {
		return &Amount{}
	}
	return a
}

func same(a, b *decimal) bool { return a == b || a != nil && b != nil && *a == *b }
