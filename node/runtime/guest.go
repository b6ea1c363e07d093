package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
)

// guest finds out what an ephemeral container runs, and in which of the group's
// containers: the one whose processes it is to see, or else the pod agent. A
// group cannot be given further containers, so it is a process there, with a
// root file system and namespaces of its own.
func (r *Runtime) guest(ctx context.Context, sb *sandbox, config *runtimeapi.ContainerConfig) (images.Image, string, error) {
	name := config.GetMetadata().GetName()
	pod, ok := r.opts.Pod(sb.namespace, sb.name)
	if !ok || string(pod.UID) != sb.uid {
		return images.Image{}, "", fmt.Errorf("pod %s/%s is gone", sb.namespace, sb.name)
	}
	at := slices.IndexFunc(pod.Spec.EphemeralContainers, func(c v1.EphemeralContainer) bool { return c.Name == name })
	if at < 0 {
		return images.Image{}, "", status.Error(codes.Unimplemented, "the pod's container group was made without it, and cannot be given more")
	}
	sb.mu.Lock()
	exact := sb.exact
	sb.mu.Unlock()
	if !exact {
		return images.Image{}, "", refuse("an ephemeral container", "the cloud's containers cannot have namespaces of their own")
	}
	c := v1.Container(pod.Spec.EphemeralContainers[at].EphemeralContainerCommon)
	host, err := r.hostOf(sb, config.GetLinux().GetSecurityContext().GetNamespaceOptions())
	if err := errors.Join(err, checkGuest(pod, &c, host)); err != nil {
		return images.Image{}, "", err
	}
	image, _, err := r.opts.Images.ForPod(ctx, sb.uid, c.Image, c.ImagePullPolicy)
	return image, host, err
}

// hostOf is the group's container in which an ephemeral one is to run.
func (r *Runtime) hostOf(sb *sandbox, namespaces *runtimeapi.NamespaceOption) (string, error) {
	if namespaces.GetPid() != runtimeapi.NamespaceMode_TARGET {
		return protocol.PodAgent, nil
	}
	target, err := r.container(namespaces.GetTargetId())
	if err != nil {
		return "", err
	}
	if target.sandbox != sb {
		return "", status.Errorf(codes.InvalidArgument, "container %s is of another pod", target.name())
	}
	return target.place(), nil
}

// checkGuest refuses an ephemeral container that asks for what it cannot have.
// Only the pod agent has all volumes that the group has.
func checkGuest(pod *v1.Pod, c *v1.Container, host string) error {
	c = c.DeepCopy()
	if s := c.SecurityContext; s != nil && s.Capabilities != nil {
		s.Capabilities.Add = slices.DeleteFunc(s.Capabilities.Add, func(added v1.Capability) bool { return isTrace(string(added)) })
	}
	if err := checkContainer(c); err != nil {
		return err
	}
	field := "container " + c.Name + ": volumeMounts"
	for _, m := range c.VolumeMounts {
		if host != protocol.PodAgent {
			return refuse(field, "a container that sees another's processes cannot mount volumes")
		}
		if !slices.Contains(used(pod), m.Name) {
			return refuse(field, "the container group has no volume "+m.Name+", since no other container mounts it")
		}
	}
	return nil
}

// isTrace reports whether a capability is the one that `kubectl debug` asks for
// unless it is told otherwise. No container of a group has it, and an ephemeral
// one is of use without.
func isTrace(name string) bool {
	return strings.TrimPrefix(strings.ToUpper(name), "CAP_") == "SYS_PTRACE"
}

// furnish sends an ephemeral container its root file system.
func (r *Runtime) furnish(ctx context.Context, c *container, agent *protocol.Client) error {
	archive, err := r.opts.Images.Root(ctx, c.sandbox.uid, c.image)
	if err != nil {
		return err
	}
	defer archive.Close()
	if err := agent.PutRoot(ctx, c.id, archive); err != nil {
		return fmt.Errorf("send the root file system of image %s: %w", c.image.Ref, err)
	}
	return nil
}
