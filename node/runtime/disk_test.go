package runtime_test

import (
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

func TestAVolumeIsMeasuredInItsGroup(t *testing.T) {
	w := newWorld(t)
	pod := podWithVolume(w, "scratch", v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}})
	dir := w.volumeDir(pod, "kubernetes.io~empty-dir", "scratch")
	sandbox := w.sandbox(pod)
	inGroup := filepath.Join(w.place.only().volumes, "scratch")
	if err := os.WriteFile(filepath.Join(inGroup, "file"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	w.run(pod, sandbox, "main", "exec sleep 1000", &runtimeapi.Mount{HostPath: dir, ContainerPath: "/v"})
	used, err := w.VolumeUsage(bounded(t), string(pod.UID), "scratch", true)
	if err != nil || used.Bytes < 1<<20 || used.Inodes != 2 {
		t.Errorf("it holds %+v, %v", used, err)
	}
	for _, of := range []struct{ uid, name string }{{string(pod.UID), "other"}, {"other", "scratch"}} {
		if used, err := w.VolumeUsage(bounded(t), of.uid, of.name, true); err == nil {
			t.Errorf("volume %s of pod %s holds %+v", of.name, of.uid, used)
		}
	}
}
