package groups

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// keptRuns is how many runs of a container are kept, for their state and log.
const keptRuns = 2

// oomScore makes the kernel, when the host itself runs out of memory, end
// groups before what runs them; 0 is that of ordinary processes, 1000 the most.
const oomScore = 500

// create waits for the image and makes the container. It goes on trying, ever
// more rarely, until ctx is done, whose error it then returns.
func (w *worker) create(ctx context.Context) (string, error) {
	var pause backOff
	for {
		image, err := w.images.await(ctx, w.c.Properties.Image)
		if err != nil {
			return "", err
		}
		id, err := w.createOnce(ctx, image)
		if err == nil {
			return id, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if id := w.made(ctx); id != "" {
			return id, nil
		}
		w.waits("CreateContainerError: " + reason(err))
		w.event(warning, "Failed", "Error: "+reason(err))
		if !sleep(ctx, max(pause.after(0), lookAgain)) {
			return "", ctx.Err()
		}
	}
}

func (w *worker) createOnce(ctx context.Context, image string) (string, error) {
	config, err := w.config(ctx, image)
	if err != nil {
		return "", err
	}
	w.waits("ContainerCreating")
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	r, err := w.d.engine.cri.CreateContainer(call, &runtimeapi.CreateContainerRequest{
		PodSandboxId: w.d.sandboxID(), Config: config, SandboxConfig: w.d.sandboxConfig(),
	})
	if err != nil {
		return "", err
	}
	w.event(normal, "Created", "Created container")
	return r.ContainerId, nil
}

// made returns the container that is there for the run although nobody was
// told: the runtime died before it answered, or the daemon that had asked.
func (w *worker) made(ctx context.Context) string {
	r, err := w.d.engine.cri.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{
		PodSandboxId:  w.d.sandboxID(),
		LabelSelector: map[string]string{labelContainer: w.c.Name},
		State:         &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_CREATED},
	}})
	if err != nil {
		return "" // it is asked to make it once more
	}
	for _, c := range r.Containers {
		if c.Metadata.Attempt == w.attempt {
			return c.Id
		}
	}
	return ""
}

// config describes one run of the container to the runtime.
func (w *worker) config(ctx context.Context, image string) (*runtimeapi.ContainerConfig, error) {
	p := w.c.Properties
	mounts, err := w.mounts(ctx)
	if err != nil {
		return nil, err
	}
	env := make([]*runtimeapi.KeyValue, 0, len(p.EnvironmentVariables))
	for _, e := range p.EnvironmentVariables {
		env = append(env, &runtimeapi.KeyValue{Key: e.Name, Value: []byte(e.content())})
	}
	return &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: w.c.Name, Attempt: w.attempt},
		Image:    &runtimeapi.ImageSpec{Image: image, UserSpecifiedImage: p.Image},
		Command:  p.Command,
		Envs:     env,
		Mounts:   mounts,
		Labels:   map[string]string{labelGroup: w.d.key, labelUID: w.d.uid, labelContainer: w.c.Name},
		LogPath:  logName(w.c.Name, w.attempt),
		Linux: &runtimeapi.LinuxContainerConfig{
			Resources:       w.d.limits(w.c),
			SecurityContext: w.d.ids.securityContext(p.SecurityContext),
		},
	}, nil
}

// logName is where, below the deployment's log directory, a run's log is.
func logName(container string, attempt uint32) string {
	return container + "/" + strconv.FormatUint(uint64(attempt), 10) + ".log"
}

func (e *engine) logPath(uid, container string, attempt uint32) string {
	return filepath.Join(e.logDir(uid), logName(container, attempt))
}

func (w *worker) mounts(ctx context.Context) ([]*runtimeapi.Mount, error) {
	file, err := w.d.hostsFile()
	if err != nil {
		return nil, fmt.Errorf("write hosts file: %w", err)
	}
	volumes, err := w.d.volumes(ctx)
	if err != nil {
		return nil, err
	}
	mounts := []*runtimeapi.Mount{w.d.ids.mount(file, "/etc/hosts", false)}
	for _, m := range w.c.Properties.VolumeMounts {
		volume, _ := w.d.group.volume(m.Name)
		readOnly := m.ReadOnly || volume.Secret != nil || volume.AzureFile != nil && volume.AzureFile.ReadOnly
		mounts = append(mounts, w.d.ids.mount(volumes[m.Name], filepath.Clean(m.MountPath), readOnly))
	}
	return mounts, nil
}

// limits are the container's own, or the group's where it has none: a
// container may use what the others leave.
func (d *deployment) limits(c Container) *runtimeapi.LinuxContainerResources {
	cpu, memory := d.group.total()
	request := cpu
	if r := c.Properties.Resources; r != nil {
		request = *r.Requests.CPU
		if r.Limits != nil && r.Limits.CPU != nil {
			cpu = *r.Limits.CPU
		}
		if r.Limits != nil && r.Limits.MemoryInGB != nil {
			memory = *r.Limits.MemoryInGB
		}
	}
	return &runtimeapi.LinuxContainerResources{
		CpuPeriod:          cpuPeriod,
		CpuQuota:           max(int64(cpu*cpuPeriod), minQuota),
		CpuShares:          max(int64(request*1024), 2), // the kernel's least
		MemoryLimitInBytes: int64(memory * gigabyte),
		OomScoreAdj:        oomScore,
	}
}

// securityContext is what every container gets: namespaces, a seccomp profile,
// masked paths and, of capabilities, ACI's fourteen, which are the runtime's
// default, less what was dropped.
func (o ownIDs) securityContext(s *SecurityContext) *runtimeapi.LinuxContainerSecurityContext {
	context := &runtimeapi.LinuxContainerSecurityContext{
		NamespaceOptions: o.namespaces(),
		Seccomp:          o.seccomp(),
		MaskedPaths:      maskedPaths(),
		ReadonlyPaths:    readonlyPaths(),
	}
	if s == nil {
		return context
	}
	if s.AllowPrivilegeEscalation != nil {
		context.NoNewPrivs = !*s.AllowPrivilegeEscalation
	}
	if s.RunAsUser != nil {
		context.RunAsUser = &runtimeapi.Int64Value{Value: *s.RunAsUser}
	}
	if s.RunAsGroup != nil {
		context.RunAsGroup = &runtimeapi.Int64Value{Value: *s.RunAsGroup}
	}
	if s.Capabilities != nil {
		context.Capabilities = &runtimeapi.Capability{}
		for _, c := range s.Capabilities.Add {
			context.Capabilities.AddCapabilities = append(context.Capabilities.AddCapabilities, capability(c))
		}
		for _, c := range s.Capabilities.Drop {
			context.Capabilities.DropCapabilities = append(context.Capabilities.DropCapabilities, capability(c))
		}
	}
	return context
}

// maskedPaths cannot be read in a container: they tell of, or act on, the host.
func maskedPaths() []string {
	return []string{"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"}
}

func readonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// forgetOld removes all but the latest runs, with their logs.
func (w *worker) forgetOld(ctx context.Context) {
	if w.attempt < keptRuns {
		return
	}
	list, err := w.d.engine.cri.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{
		PodSandboxId: w.d.sandboxID(), LabelSelector: map[string]string{labelContainer: w.c.Name},
	}})
	if err != nil {
		return // the next run tries again
	}
	for _, c := range list.Containers {
		if c.Metadata.Attempt+keptRuns > w.attempt {
			continue
		}
		if err := w.d.engine.removeContainer(ctx, c.Id); err != nil {
			w.d.engine.log.Warn("old run is not removed", "group", w.d.key, "container", w.c.Name, "error", err)
		}
		err = w.d.engine.removeLog(w.d.uid, w.c.Name, c.Metadata.Attempt)
		if err != nil {
			w.d.engine.log.Warn("old log is not removed", "group", w.d.key, "container", w.c.Name, "error", err)
		}
	}
}
