package runtime_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fsnotify/fsnotify"
	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// publish replaces a volume's content as the kubelet does.
func publish(t *testing.T, dir, version string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, ".."+version, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(".."+version, filepath.Join(dir, "..data_tmp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

func podWithVolume(w *world, name string, source v1.VolumeSource) *v1.Pod {
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell", VolumeMounts: []v1.VolumeMount{{Name: name, MountPath: "/v"}}})
	pod.Spec.Volumes = []v1.Volume{{Name: name, VolumeSource: source}}
	return pod
}

func TestContentIsThereWhenTheContainerStartsAndFollows(t *testing.T) {
	w := newWorld(t)
	pod := podWithVolume(w, "conf", v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{}})
	dir := w.volumeDir(pod, "kubernetes.io~configmap", "conf")
	publish(t, dir, "one", map[string]string{"a": "1", "deep/b": "2"})
	sandbox := w.sandbox(pod)
	inGroup := filepath.Join(w.place.only().volumes, "conf")
	until := w.watch()
	id := w.run(pod, sandbox, "main", "cat "+inGroup+"/a "+inGroup+"/deep/b; ls -l "+inGroup+"/..data/a",
		&runtimeapi.Mount{HostPath: dir, ContainerPath: "/v"})
	until(id, exited)
	if log := w.log(pod, "main"); !strings.Contains(log, "stdout: 12-rw-r-----") {
		t.Errorf("the container saw %q", log)
	}

	untilChanged := awaitContent(t, inGroup)
	publish(t, dir, "two", map[string]string{"a": "changed"})
	untilChanged()
}

// awaitContent returns a function that waits until a volume has a file with
// "changed" in it, and no other.
func awaitContent(t *testing.T, inGroup string) func() {
	t.Helper()
	changes := must[*fsnotify.Watcher](t)(fsnotify.NewWatcher())
	t.Cleanup(func() { changes.Close() })
	if err := changes.Add(inGroup); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		wait := bounded(t)
		for {
			_, deep := os.Lstat(filepath.Join(inGroup, "deep"))
			if data, _ := os.ReadFile(filepath.Join(inGroup, "a")); string(data) == "changed" && os.IsNotExist(deep) {
				return
			}
			select {
			case <-changes.Events:
			case <-wait.Done():
				t.Fatal("the change never came, or what was taken away stayed")
			}
		}
	}
}

func TestAnEmptyVolumeGetsItsMode(t *testing.T) {
	w := newWorld(t)
	pod := podWithVolume(w, "scratch", v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}})
	dir := w.volumeDir(pod, "kubernetes.io~empty-dir", "scratch")
	if err := os.Chmod(dir, 0o777|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	sandbox := w.sandbox(pod)
	inGroup := filepath.Join(w.place.only().volumes, "scratch")
	w.run(pod, sandbox, "main", "exit", &runtimeapi.Mount{HostPath: dir, ContainerPath: "/v"})
	info, err := os.Stat(inGroup)
	if err != nil || info.Mode() != os.ModeDir|os.ModeSetgid|0o777 {
		t.Errorf("the volume's mode is %v, %v", info.Mode(), err)
	}
}

func TestForeignPathsAreNotMounted(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	sandbox := w.sandbox(pod)
	for _, path := range []string{
		"/etc",
		filepath.Join(w.root, "pods", "other", "volumes", "kubernetes.io~secret", "s"),
		filepath.Join(w.root, "pods", string(pod.UID), "volumes", "kubernetes.io~secret", "..", "..", "..", "other", "volumes", "kubernetes.io~secret", "s"),
		filepath.Join(w.root, "pods", string(pod.UID), "volume-subpaths", "s", "main", "0"),
		filepath.Join(w.root, "pods", string(pod.UID), "volumes", "kubernetes.io~nfs", "s"),
	} {
		if _, err := w.create(pod, sandbox, "main", "x", &runtimeapi.Mount{HostPath: path, ContainerPath: "/v"}); err == nil {
			t.Errorf("%s was accepted", path)
		}
	}
}

// Agents in this process have no namespaces to give: what needs them is refused
// once that is known, and from then on before a group is made.
func TestPartsOfVolumesAreRefusedWherePlainContainersAreAllThereIs(t *testing.T) {
	w := newWorld(t)
	pod := podWithVolume(w, "conf", v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{}})
	pod.Spec.Containers[0].VolumeMounts[0].SubPath = "key"
	for range 2 {
		_, err := w.RunPodSandbox(bounded(t), w.sandboxConfig(pod), "")
		if err == nil || !strings.Contains(err.Error(), "volumeMounts.subPath is not possible on this node") {
			t.Errorf("got %v", err)
		}
		w.place.until(0)
	}
	if n := w.place.made(); n != 1 {
		t.Errorf("%d groups were made, want one to find out", n)
	}
	if level := <-w.levels; level {
		t.Error("the node is told that containers have namespaces of their own")
	}
}
