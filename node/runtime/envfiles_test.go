package runtime_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestAFileForEnvironmentsIsThereWhenItsWriterHasEnded(t *testing.T) {
	w := newWorld(t)
	wants := v1.EnvVar{Name: "COLOUR", ValueFrom: &v1.EnvVarSource{FileKeyRef: &v1.FileKeySelector{VolumeName: "env", Path: "deep/file", Key: "COLOUR"}}}
	mounts := []v1.VolumeMount{{Name: "env", MountPath: "/env"}}
	pod := w.pod("web", v1.Container{Name: "writer", Image: "shell", VolumeMounts: mounts}, v1.Container{Name: "main", Image: "shell", Env: []v1.EnvVar{wants}})
	pod.Spec.Volumes = []v1.Volume{{Name: "env", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}}}
	onNode := filepath.Join(w.volumeDir(pod, "kubernetes.io~empty-dir", "env"), "deep", "file")
	sandbox := w.sandbox(pod)
	inGroup := filepath.Join(w.place.only().volumes, "env", "deep")

	until := w.watch()
	until(w.run(pod, sandbox, "writer", "mkdir "+inGroup+"; echo COLOUR=green > "+inGroup+"/file"), exited)
	if got, err := os.ReadFile(onNode); string(got) != "COLOUR=green\n" || err != nil {
		t.Errorf("on the node there is %q, %v", got, err)
	}
	if info, err := os.Stat(onNode); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	until(w.run(pod, sandbox, "writer", "rm "+inGroup+"/file"), exited)
	if _, err := os.Stat(onNode); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is gone is still on the node: %v", err)
	}
}
