package runtime

import (
	"slices"
	"strings"
	"sync"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
)

// level is what is known of the cloud's containers: whether an agent can give
// processes namespaces of their own. The zero value knows nothing.
type level struct {
	mu           sync.Mutex
	known, exact bool
}

// check refuses a pod that is known to ask for too much.
func (l *level) check(pod *v1.Pod) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known && !l.exact {
		return checkPlain(pod)
	}
	return nil
}

// set reports whether that is news.
func (l *level) set(exact bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	news := !l.known || l.exact != exact
	l.known, l.exact = true, exact
	return news
}

// learn notes what a pod agent says of its container.
func (r *Runtime) learn(hello protocol.Hello) {
	if !r.level.set(hello.Exact) {
		return
	}
	if hello.Exact {
		r.log.Info("containers have namespaces of their own here",
			"allPorts", hello.Ports, "cleanRoot", hello.CleanRoot, "whyNot", hello.Unclean)
	} else {
		r.log.Warn("containers cannot have namespaces of their own here", "why", hello.Inexact)
	}
	if r.opts.OnLevel != nil {
		r.tasks.start(func() { r.opts.OnLevel(r.life, hello.Exact) })
	}
}

// restarts reports whether a container of a pod may be run more than once.
func restarts(pod *v1.Pod) bool {
	return pod.Spec.RestartPolicy != v1.RestartPolicyNever ||
		slices.ContainsFunc(containersOf(pod), func(c *v1.Container) bool { return c.RestartPolicy != nil || len(c.RestartPolicyRules) > 0 })
}

// inMemory are the pod's volumes that are to be in memory, with their sizes in
// bytes: those that are to be by their own words, at most as large as the group,
// and secrets, unless a container mounts them that is better off without
// namespaces of its own. Ports is what the pod agent says of those.
func inMemory(pod *v1.Pod, ports bool) map[string]int64 {
	var group int64
	for _, s := range sizesOf(pod, protocol.PodAgent) {
		group += s.request.memory * bytesPerStep
	}
	volumes, plain := map[string]int64{}, inPlain(pod, ports)
	for _, v := range pod.Spec.Volumes {
		switch n := secrets(v); {
		case v.EmptyDir != nil && v.EmptyDir.Medium == v1.StorageMediumMemory:
			volumes[v.Name] = group
			if limit := v.EmptyDir.SizeLimit; limit != nil && limit.Value() > 0 {
				volumes[v.Name] = min(limit.Value(), group)
			}
		case n > 0 && !plain[v.Name]:
			volumes[v.Name] = min(int64(2*n*largestObject), group)
		}
	}
	return volumes
}

// largestObject is more than a Secret or ConfigMap holds, in bytes, with room for
// directories. A volume has its content twice while that is replaced.
const largestObject = 2 << 20

// secrets is of how many objects a volume that holds secrets is made, 0 if it
// holds none.
func secrets(v v1.Volume) int {
	if v.Secret != nil {
		return 1
	}
	if v.Projected == nil {
		return 0
	}
	if slices.ContainsFunc(v.Projected.Sources, func(s v1.VolumeProjection) bool {
		return s.Secret != nil || s.ServiceAccountToken != nil || s.PodCertificate != nil
	}) {
		return len(v.Projected.Sources)
	}
	return 0
}

// inPlain are the volumes that are mounted in containers which have namespaces of
// their own only if they must.
func inPlain(pod *v1.Pod, ports bool) map[string]bool {
	volumes := map[string]bool{}
	for _, c := range containersOf(pod) {
		raw := c.SecurityContext != nil && c.SecurityContext.Capabilities != nil &&
			slices.ContainsFunc(c.SecurityContext.Capabilities.Add, func(added v1.Capability) bool { return isRaw(string(added)) })
		for _, m := range c.VolumeMounts {
			if raw || !ports {
				volumes[m.Name] = true
			}
		}
	}
	return volumes
}

// isRaw reports whether a capability is that of raw sockets, which counts only
// where the network is.
func isRaw(name string) bool { return strings.TrimPrefix(strings.ToUpper(name), "CAP_") == "NET_RAW" }

// exact is what a container finds in namespaces of its own, or nil if it runs
// in the group's as they are. Inside, a process has no power over the group's
// network: where that would be missed, the group's are better, unless the pod
// asks for what they do not have.
func (r *Runtime) exact(c *container, config *runtimeapi.PodSandboxConfig) *protocol.Exact {
	c.sandbox.mu.Lock()
	exact, ports, clean := c.sandbox.exact, c.sandbox.ports, c.sandbox.clean
	c.sandbox.mu.Unlock()
	if !exact {
		return nil
	}
	security := c.config.GetLinux().GetSecurityContext()
	if c.ephemeral() {
		return &protocol.Exact{
			Hostname: config.GetHostname(), ReadOnlyRoot: security.GetReadonlyRootfs(), OwnRoot: true, Mounts: c.mounts}
	}
	needed := len(c.mounts) > 0 || security.GetReadonlyRootfs()
	raw := slices.ContainsFunc(security.GetCapabilities().GetAddCapabilities(), isRaw)
	if !needed && (raw || !ports) {
		return nil
	}
	return &protocol.Exact{
		Hostname: config.GetHostname(), ReadOnlyRoot: security.GetReadonlyRootfs(), CleanRoot: clean, Mounts: c.mounts}
}
