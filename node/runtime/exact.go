package runtime

import (
	"slices"
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
// bytes: at most the group's own.
func inMemory(pod *v1.Pod) map[string]int64 {
	var group int64
	for _, s := range sizesOf(pod, protocol.PodAgent) {
		group += s.request.memory * bytesPerStep
	}
	volumes := map[string]int64{}
	for _, v := range pod.Spec.Volumes {
		if v.EmptyDir == nil || v.EmptyDir.Medium != v1.StorageMediumMemory {
			continue
		}
		volumes[v.Name] = group
		if limit := v.EmptyDir.SizeLimit; limit != nil && limit.Value() > 0 {
			volumes[v.Name] = min(limit.Value(), group)
		}
	}
	return volumes
}

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
	raw := slices.Contains(capabilities(security.GetCapabilities().GetAddCapabilities()), "NET_RAW")
	if !needed && (raw || !ports) {
		return nil
	}
	return &protocol.Exact{
		Hostname: config.GetHostname(), ReadOnlyRoot: security.GetReadonlyRootfs(), CleanRoot: clean, Mounts: c.mounts}
}
