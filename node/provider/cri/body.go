package cri

import (
	"maps"
	"path/filepath"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubernetes/pkg/securitycontext"

	"frankenetes.dev/node/provider"
)

const (
	// labelGroup is on sandboxes and containers, beside a group's tags: its name.
	labelGroup = "frankenetes-group"
	// namespace is what tools that list pods show.
	namespace = "frankenetes"
	// gigabyte is the unit in which sizes are given, in bytes; cpuPeriod that in
	// which CPU time is handed out, leastQuota the least of it that can be, both
	// in microseconds.
	gigabyte   = 1e9
	cpuPeriod  = 100_000
	leastQuota = 1_000
	// oomScore makes the kernel, when the machine itself runs out of memory,
	// end groups before what runs them.
	oomScore = 500
)

// sandboxConfig describes a group's sandbox. Its size is told because a runtime
// that makes a virtual machine of it has to know.
func sandboxConfig(g provider.Group, logs string) *runtimeapi.PodSandboxConfig {
	labels := map[string]string{labelGroup: g.Name}
	maps.Copy(labels, g.Tags)
	var sum provider.Resources
	for _, c := range g.Containers {
		sum.CPU += c.Request.CPU
		sum.MemoryGB += c.Request.MemoryGB
	}
	return &runtimeapi.PodSandboxConfig{
		Metadata: &runtimeapi.PodSandboxMetadata{Name: g.Name, Namespace: namespace, Uid: g.Name},
		Hostname: g.Name, LogDirectory: logs, Labels: labels,
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			Resources:       resources(sum, sum),
			SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{NamespaceOptions: namespaces(), Seccomp: seccomp()},
		},
	}
}

// containerConfig describes a container of a group whose volumes are below a
// directory.
func containerConfig(c provider.Container, sandbox *runtimeapi.PodSandboxConfig, volumes string) *runtimeapi.ContainerConfig {
	config := &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: c.Name},
		Image:    &runtimeapi.ImageSpec{Image: c.Image},
		Command:  c.Command,
		LogPath:  c.Name + ".log",
		Labels:   map[string]string{labelGroup: sandbox.Labels[labelGroup]},
		Linux: &runtimeapi.LinuxContainerConfig{
			Resources: resources(c.Request, c.Limit),
			SecurityContext: &runtimeapi.LinuxContainerSecurityContext{
				// Exactly these, whatever a runtime gives by itself.
				Capabilities:     &runtimeapi.Capability{DropCapabilities: []string{"ALL"}, AddCapabilities: provider.Capabilities()},
				NamespaceOptions: namespaces(), Seccomp: seccomp(),
				MaskedPaths: securitycontext.ConvertToRuntimeMaskedPaths(nil), ReadonlyPaths: securitycontext.ConvertToRuntimeReadonlyPaths(nil),
			},
		},
	}
	for _, e := range c.Env { // secret or not: only root sees a container's configuration
		config.Envs = append(config.Envs, &runtimeapi.KeyValue{Key: e.Name, Value: []byte(e.Value)})
	}
	for _, m := range c.Mounts {
		config.Mounts = append(config.Mounts, &runtimeapi.Mount{
			HostPath: filepath.Join(volumes, m.Volume), ContainerPath: m.Path, Readonly: m.ReadOnly, SelinuxRelabel: true})
	}
	if c.User != nil {
		config.Linux.SecurityContext.RunAsUser = &runtimeapi.Int64Value{Value: int64(*c.User)}
	}
	return config
}

// resources are cgroup limits; what has no limit gets none.
func resources(request, limit provider.Resources) *runtimeapi.LinuxContainerResources {
	r := &runtimeapi.LinuxContainerResources{OomScoreAdj: oomScore, CpuShares: max(int64(request.CPU*1024), 2)} // the kernel's least
	if limit.CPU > 0 {
		r.CpuPeriod, r.CpuQuota = cpuPeriod, max(int64(limit.CPU*cpuPeriod), leastQuota)
	}
	r.MemoryLimitInBytes = int64(limit.MemoryGB * gigabyte)
	return r
}

// namespaces are one network for the group, and processes that containers do
// not see of each other.
func namespaces() *runtimeapi.NamespaceOption {
	return &runtimeapi.NamespaceOption{
		Network: runtimeapi.NamespaceMode_POD, Ipc: runtimeapi.NamespaceMode_POD, Pid: runtimeapi.NamespaceMode_CONTAINER}
}

func seccomp() *runtimeapi.SecurityProfile {
	return &runtimeapi.SecurityProfile{ProfileType: runtimeapi.SecurityProfile_RuntimeDefault}
}
