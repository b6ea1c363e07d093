package groups

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// callTimeout bounds calls to the runtime that are not cut short with their caller.
const callTimeout = 2 * time.Minute

// The pauses between attempts to remove a deployment double from the first to
// the last, some three seconds in all.
const (
	removePause    = 25 * time.Millisecond
	maxRemovePause = 1600 * time.Millisecond
)

// sandboxConfig describes the group's sandbox: its network, its name, its
// control group and where its containers' logs go.
func (d *deployment) sandboxConfig() *runtimeapi.PodSandboxConfig {
	labels := map[string]string{labelGroup: d.key, labelUID: d.uid}
	if d.ids.some() {
		labels[labelIDs] = strconv.FormatUint(uint64(d.ids.first), 10)
	}
	return &runtimeapi.PodSandboxConfig{
		Metadata:     &runtimeapi.PodSandboxMetadata{Name: d.group.Name, Namespace: "frankenetes", Uid: d.uid, Attempt: d.life},
		Hostname:     d.group.Name,
		LogDirectory: d.engine.logDir(d.uid),
		DnsConfig:    d.dnsConfig(),
		Labels:       labels,
		Annotations:  d.place.Annotations,
		Linux: &runtimeapi.LinuxPodSandboxConfig{
			CgroupParent: d.cgroup,
			Sysctls:      d.ids.sysctls(),
			SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
				NamespaceOptions: d.ids.namespaces(),
				Seccomp:          d.ids.seccomp(),
			},
		},
	}
}

// dnsConfig is what stands in the group's resolv.conf: the cloud's own
// resolver, unless the group asks for others.
func (d *deployment) dnsConfig() *runtimeapi.DNSConfig {
	c := d.group.Properties.DNSConfig
	if c == nil {
		return &runtimeapi.DNSConfig{Servers: []string{d.engine.resolver.String()}}
	}
	return &runtimeapi.DNSConfig{Servers: c.NameServers, Searches: strings.Fields(c.SearchDomains), Options: strings.Fields(c.Options)}
}

// runSandbox makes the control group and the sandbox and tells its address.
func (d *deployment) runSandbox(ctx context.Context) error {
	cpu, memory := d.group.total()
	var err error
	if d.cgroup, err = d.engine.cgroups.Create(d.uid, float64(cpu), float64(memory)); err != nil {
		return err
	}
	if err := os.MkdirAll(d.engine.logDir(d.uid), 0o700); err != nil {
		return fmt.Errorf("make log directory: %w", err)
	}
	if d.ids, err = d.engine.isolation.take(d.uid); err != nil {
		return err
	}
	begun := time.Now()
	// Not cut short: what is half made is hard to take down.
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	r, err := d.engine.cri.RunPodSandbox(call, &runtimeapi.RunPodSandboxRequest{Config: d.sandboxConfig()})
	if err != nil {
		return fmt.Errorf("run sandbox: %w", err)
	}
	d.setSandbox(r.PodSandboxId)
	d.engine.log.Debug("sandbox runs", "group", d.key, "took", time.Since(begun).Round(time.Millisecond))
	return d.tellAddress(ctx)
}

// tellAddress passes the group's address on once its sandbox is ready.
func (d *deployment) tellAddress(ctx context.Context) error {
	r, err := d.engine.cri.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: d.sandboxID()})
	if err != nil {
		return fmt.Errorf("ask for sandbox: %w", err)
	}
	if r.Status.State != runtimeapi.PodSandboxState_SANDBOX_READY {
		return errSandboxLost
	}
	d.status.setIP(d.place.Own().String())
	d.address(d.place.Cloud)
	return nil
}

func (d *deployment) sandboxReady(ctx context.Context) (bool, error) {
	r, err := d.engine.cri.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: d.sandboxID()})
	if grpcstatus.Code(err) == codes.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return r.Status.State == runtimeapi.PodSandboxState_SANDBOX_READY, nil
}

// takeDown ends and removes everything that the deployment has in the runtime
// and on this host, but for its logs. It looks for what there is instead of
// trusting memory, so that it also removes what was being made a moment ago.
func (d *deployment) takeDown(ctx context.Context, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	d.setSandbox("")
	d.status.setIP("")
	d.forgetVolumes()
	err := d.engine.removeDeployment(ctx, d.uid, grace)
	for wait := removePause; err != nil && wait <= maxRemovePause; wait *= 2 {
		// The runtime may not have taken note yet of what just ended.
		d.engine.log.Debug("group is not taken down yet", "group", d.key, "error", err)
		if !sleep(ctx, wait) {
			break
		}
		err = d.engine.removeDeployment(ctx, d.uid, 0)
	}
	return err
}

// removeDeployment removes sandboxes, containers, volumes and control group.
func (e *engine) removeDeployment(ctx context.Context, uid string, grace time.Duration) error {
	selector := map[string]string{labelUID: uid}
	containers, err := e.cri.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{
		State: &runtimeapi.ContainerStateValue{State: runtimeapi.ContainerState_CONTAINER_RUNNING}, LabelSelector: selector}})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	// Side by side: the runtime itself would stop them one after another.
	var stopping errgroup.Group
	for _, c := range containers.Containers {
		stopping.Go(func() error {
			if grace == 0 {
				// Before the runtime is asked, which has to start a process
				// for each kill. The sandbox's own goes last: with it gone
				// first, the runtime loses sight of the others.
				if err := e.cgroups.Kill(uid, c.Id); err != nil {
					return err
				}
			}
			_, err := e.cri.StopContainer(ctx, &runtimeapi.StopContainerRequest{ContainerId: c.Id, Timeout: int64(grace.Seconds())})
			return ignoreNotFound(err)
		})
	}
	if err := stopping.Wait(); err != nil {
		return fmt.Errorf("stop container: %w", err)
	}
	err = e.removeSandboxes(ctx, selector)
	if err != nil && e.discardAll(ctx, selector) == nil { // what nobody saw being started
		err = e.removeSandboxes(ctx, selector)
	}
	if err != nil {
		return err
	}
	e.isolation.release(uid)
	return errors.Join(e.removeVolumes(uid), e.cgroups.Delete(uid))
}

func (e *engine) removeSandboxes(ctx context.Context, selector map[string]string) error {
	sandboxes, err := e.cri.ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{Filter: &runtimeapi.PodSandboxFilter{LabelSelector: selector}})
	if err != nil {
		return fmt.Errorf("list sandboxes: %w", err)
	}
	for _, s := range sandboxes.Items {
		if err := e.removeSandbox(ctx, s.Id); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) removeSandbox(ctx context.Context, id string) error {
	if _, err := e.cri.StopPodSandbox(ctx, &runtimeapi.StopPodSandboxRequest{PodSandboxId: id}); ignoreNotFound(err) != nil {
		return fmt.Errorf("stop sandbox: %w", err)
	}
	if _, err := e.cri.RemovePodSandbox(ctx, &runtimeapi.RemovePodSandboxRequest{PodSandboxId: id}); ignoreNotFound(err) != nil {
		return fmt.Errorf("remove sandbox: %w", err)
	}
	return nil
}

// removeContainer removes a container that has ended.
func (e *engine) removeContainer(ctx context.Context, id string) error {
	if err := e.discard(ctx, id); err != nil {
		return err
	}
	_, err := e.cri.RemoveContainer(ctx, &runtimeapi.RemoveContainerRequest{ContainerId: id})
	return ignoreNotFound(err)
}

// discardAll ends what still runs of containers that have ended.
func (e *engine) discardAll(ctx context.Context, selector map[string]string) error {
	list, err := e.cri.ListContainers(ctx, &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{LabelSelector: selector}})
	if err != nil {
		return fmt.Errorf("list containers: %w", err)
	}
	var errs []error
	for _, c := range list.Containers {
		errs = append(errs, e.discard(ctx, c.Id))
	}
	return errors.Join(errs...)
}

func ignoreNotFound(err error) error {
	if grpcstatus.Code(err) == codes.NotFound {
		return nil
	}
	return err
}
