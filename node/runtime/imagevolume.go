package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
)

// mountImages adds the images that a container mounts, and brings them to where
// it can. They have been pulled, as the kubelet sees it: their files come now.
func (r *Runtime) mountImages(ctx context.Context, c *container) error {
	for _, m := range c.config.GetMounts() {
		if m.GetImage() == nil {
			continue
		}
		if err := r.mountImage(ctx, c, m); err != nil {
			return fmt.Errorf("mount %s: %w", m.GetContainerPath(), err)
		}
	}
	return nil
}

func (r *Runtime) mountImage(ctx context.Context, c *container, m *runtimeapi.Mount) error {
	sb := c.sandbox
	pod, ok := r.opts.Pod(sb.namespace, sb.name)
	if !ok || string(pod.UID) != sb.uid {
		return fmt.Errorf("pod %s/%s is gone", sb.namespace, sb.name)
	}
	name := mountedAt(pod, c.name(), m.GetContainerPath())
	sb.mu.Lock()
	exact := sb.exact
	sb.mu.Unlock()
	if !exact || name == "" {
		return refuse("an image volume", "a container group cannot mount images")
	}
	image, _, err := r.opts.Images.ForPod(ctx, sb.uid, m.GetImage().GetUserSpecifiedImage(), v1.PullIfNotPresent)
	if err != nil {
		return err
	}
	if err := r.bring(ctx, sb, name, image, m.GetImageSubPath()); err != nil {
		return fmt.Errorf("volume %s: %w", name, err)
	}
	c.mounts = append(c.mounts, protocol.Mount{Volume: name, SubPath: m.GetImageSubPath(), Path: m.GetContainerPath(), ReadOnly: true})
	return nil
}

// mountedAt is the volume that a container of a pod has at a path, which CRI
// does not tell of an image.
func mountedAt(pod *v1.Pod, container, at string) string {
	all := containersOf(pod)
	for i := range pod.Spec.EphemeralContainers {
		c := v1.Container(pod.Spec.EphemeralContainers[i].EphemeralContainerCommon)
		all = append(all, &c)
	}
	for _, c := range all {
		if c.Name != container {
			continue
		}
		i := slices.IndexFunc(c.VolumeMounts, func(m v1.VolumeMount) bool { return path.Join("/", m.MountPath) == path.Clean(at) })
		if i >= 0 {
			return c.VolumeMounts[i].Name
		}
	}
	return ""
}

// bring sends an image's files to a volume of the group, unless they are there,
// and looks for a path among them.
func (r *Runtime) bring(ctx context.Context, sb *sandbox, name string, image images.Image, sub string) error {
	agent, err := r.client(ctx, sb, protocol.PodAgent)
	if err != nil {
		return err
	}
	err = agent.HasImage(ctx, name, image.ID, sub)
	if refusal := (*protocol.Error)(nil); !errors.As(err, &refusal) || refusal.Status != http.StatusNotFound {
		return err
	}
	if sb.shared {
		if err := agent.PutVolume(ctx, name, protocol.Volume{Mode: 0o755, Shared: true}); err != nil {
			return err
		}
	}
	archive, err := r.opts.Images.Root(ctx, sb.uid, image)
	if err != nil {
		return err
	}
	defer archive.Close()
	if err := agent.PutImage(ctx, name, image.ID, archive); err != nil {
		return fmt.Errorf("send image %s: %w", image.Ref, err)
	}
	return agent.HasImage(ctx, name, image.ID, sub)
}
