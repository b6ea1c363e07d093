package runtime

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"time"

	v1 "k8s.io/api/core/v1"

	"frankenetes.dev/agent/protocol"
)

// envFile is a file in an emptyDir of which a container's environment is made.
// A container that runs before writes it, in the group; the kubelet reads it,
// on the node.
type envFile struct{ volume, path string }

// envFiles are the files that a pod's containers want.
func envFiles(pod *v1.Pod) map[envFile]bool {
	files := map[envFile]bool{}
	for _, c := range containersOf(pod) {
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.FileKeyRef != nil {
				files[envFile{e.ValueFrom.FileKeyRef.VolumeName, e.ValueFrom.FileKeyRef.Path}] = true
			}
		}
	}
	return files
}

// checkEnvFiles refuses files in volumes that the pod agent does not see.
func checkEnvFiles(pod *v1.Pod) error {
	for file := range envFiles(pod) {
		for _, v := range pod.Spec.Volumes {
			if v.Name == file.volume && v.EmptyDir != nil && v.EmptyDir.Medium == v1.StorageMediumMemory {
				return refuse("env.valueFrom.fileKeyRef", "volume "+v.Name+" is in memory, where only its containers see it")
			}
		}
	}
	return nil
}

// envFileTimeout bounds how long the end of a container is kept back for a file.
const envFileTimeout = 30 * time.Second

// bringEnvFiles copies what a container that has ended may have left for those
// that start after it to where the kubelet looks.
func (r *Runtime) bringEnvFiles(sb *sandbox) {
	pod, ok := r.opts.Pod(sb.namespace, sb.name)
	if !ok || string(pod.UID) != sb.uid {
		return
	}
	for file := range envFiles(pod) {
		if err := r.bringEnvFile(sb, file); err != nil && sb.life.Err() == nil {
			r.log.Warn("a file for environments is not there", "pod", sb.namespace+"/"+sb.name, "volume", file.volume, "path", file.path, "error", err)
		}
	}
}

func (r *Runtime) bringEnvFile(sb *sandbox, file envFile) error {
	ctx, cancel := context.WithTimeout(sb.life, envFileTimeout)
	defer cancel()
	agent, err := r.client(ctx, sb, protocol.PodAgent)
	if err != nil {
		return err
	}
	data, err := agent.VolumeFile(ctx, file.volume, file.path)
	var refusal *protocol.Error
	gone := errors.As(err, &refusal) && refusal.Status == http.StatusNotFound
	if err != nil && !gone {
		return err
	}
	root, err := os.OpenRoot(filepath.Join(r.opts.RootDir, "pods", sb.uid, "volumes", emptyPlugin, file.volume))
	if err != nil {
		return fmt.Errorf("open volume: %w", err)
	}
	defer root.Close()
	if gone {
		if err := root.Remove(file.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove earlier file: %w", err)
		}
		return nil
	}
	if err := root.MkdirAll(path.Dir(file.path), 0o700); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := root.WriteFile(file.path, data, 0o600); err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	return nil
}
