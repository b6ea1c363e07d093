package runtime

import runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

// wantsSandbox reports whether a filter lets a sandbox through.
func wantsSandbox(f *runtimeapi.PodSandboxFilter, s *runtimeapi.PodSandbox) bool {
	switch {
	case f == nil:
		return true
	case f.Id != "" && f.Id != s.Id:
		return false
	case f.State != nil && f.State.State != s.State:
		return false
	}
	return selects(f.LabelSelector, s.Labels)
}

// wantsContainer reports whether a filter lets a container through.
func wantsContainer(f *runtimeapi.ContainerFilter, c *runtimeapi.Container) bool {
	switch {
	case f == nil:
		return true
	case f.Id != "" && f.Id != c.Id:
		return false
	case f.PodSandboxId != "" && f.PodSandboxId != c.PodSandboxId:
		return false
	case f.State != nil && f.State.State != c.State:
		return false
	}
	return selects(f.LabelSelector, c.Labels)
}

// selects reports whether labels have all that a selector asks for.
func selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}
