package runtime_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/node/provider"
)

// pipe makes a named pipe by which a script and a test meet.
func pipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestARestartedNodeGoesOnWithItsPods(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"}, v1.Container{Name: "done", Image: "shell"})
	sandbox := w.sandbox(pod)
	until := w.watch()
	ended := w.run(pod, sandbox, "done", "exit 4")
	until(ended, exited)
	before, after := pipe(t), pipe(t)
	id := w.run(pod, sandbox, "main", "echo one; echo > "+before+"; read x < "+after+"; echo $x; exit 6")
	if _, err := os.ReadFile(before); err != nil {
		t.Fatal(err)
	}
	group := w.place.only()

	w.stop()
	// While the node is away, the process says more, and ends.
	if err := os.WriteFile(after, []byte("two\n"), 0); err != nil {
		t.Fatal(err)
	}
	w.start()
	if again := w.place.only(); again != group {
		t.Fatal("the pod has another group")
	}
	s := must[*runtimeapi.PodSandboxStatusResponse](t)(w.PodSandboxStatus(bounded(t), sandbox, false)).Status
	if s.State != runtimeapi.PodSandboxState_SANDBOX_READY || s.Network.GetIp() == "" || s.Labels["io.kubernetes.pod.uid"] != string(pod.UID) {
		t.Errorf("the sandbox is %v", s)
	}
	if got := w.status(ended); got.State != exited || got.ExitCode != 4 {
		t.Errorf("the container that had ended is %v", got)
	}
	until = w.watch()
	if got := until(id, exited); got.ExitCode != 6 {
		t.Errorf("the container that went on ended as %v", got)
	}
	if log := w.log(pod, "main"); log != "stdout: one\nstdout: two\n" {
		t.Errorf("the log is %q, want every line once", log)
	}
	if err := w.RemovePodSandbox(bounded(t), sandbox); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(w.root, "state", "*")); len(left) != 0 {
		t.Errorf("the records %v are left", left)
	}
}

func TestRecordsHoldNoSecrets(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	config := &runtimeapi.ContainerConfig{Metadata: &runtimeapi.ContainerMetadata{Name: "main"},
		Envs:    []*runtimeapi.KeyValue{{Key: "PASSWORD", Value: []byte("hunter2")}},
		Command: []string{"login", "--password=hunter2"}, Args: []string{"hunter2"}}
	if _, err := w.CreateContainer(bounded(t), w.sandbox(pod), config, w.sandboxConfig(pod)); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(w.root, "state", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("records: %v, %v, want one", files, err)
	}
	info := must[os.FileInfo](t)(os.Stat(files[0]))
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the record's mode is %v", info.Mode())
	}
	if data := must[[]byte](t)(os.ReadFile(files[0])); strings.Contains(string(data), "hunter2") {
		t.Error("the record holds an environment or a command line")
	}
}

// TestANodeThatLostItsFilesGoesOnWithItsPods takes everything that a node has
// written, as when its own group is made anew.
func TestANodeThatLostItsFilesGoesOnWithItsPods(t *testing.T) {
	w := newWorld(t)
	pod := podWithVolume(w, "conf", v1.VolumeSource{ConfigMap: &v1.ConfigMapVolumeSource{}})
	pod.Spec.Containers = append(pod.Spec.Containers, v1.Container{Name: "done", Image: "shell"})
	volume := w.volumeDir(pod, "kubernetes.io~configmap", "conf")
	publish(t, volume, "one", map[string]string{"a": "1"})
	sandbox := w.sandbox(pod)
	inGroup := filepath.Join(w.place.only().volumes, "conf")
	until := w.watch()
	ended := w.run(pod, sandbox, "done", "echo ended; exit 4", &runtimeapi.Mount{HostPath: volume, ContainerPath: "/v"})
	until(ended, exited)
	before, after := pipe(t), pipe(t)
	id := w.run(pod, sandbox, "main", "echo one; echo > "+before+"; read x < "+after+"; echo $x; exit 6")
	if _, err := os.ReadFile(before); err != nil {
		t.Fatal(err)
	}
	group := w.place.only()
	w.settleRecords()

	w.stop()
	for _, dir := range []string{"state", "logs", "pods"} {
		if err := os.RemoveAll(filepath.Join(w.root, dir)); err != nil {
			t.Fatal(err)
		}
	}
	w.start()
	until = w.watch()
	if again := w.place.only(); again != group {
		t.Fatal("the pod has another group")
	}
	if got := w.status(ended); got.State != exited || got.ExitCode != 4 {
		t.Errorf("the container that had ended is %v", got)
	}
	if err := os.WriteFile(after, []byte("two\n"), 0); err != nil {
		t.Fatal(err)
	}
	if got := until(id, exited); got.ExitCode != 6 {
		t.Errorf("the container that went on ended as %v", got)
	}
	if log := w.log(pod, "main"); log != "stdout: one\nstdout: two\n" {
		t.Errorf("the log is %q, want every line once", log)
	}
	untilChanged := awaitContent(t, inGroup)
	publish(t, volume, "one", map[string]string{"a": "changed"}) // as the kubelet does, in what it takes for a new directory
	untilChanged()
	path := filepath.Join(w.root, "logs", pod.Name, "done", "0.log") // copied again in the background
	for wait := bounded(t); wait.Err() == nil; time.Sleep(time.Millisecond) {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			break
		}
	}
	if log := w.log(pod, "done"); log != "stdout: ended\n" {
		t.Errorf("the log of what had ended is %q", log)
	}
}

func TestGroupsThatNobodyClaimsAreDeleted(t *testing.T) {
	w := newWorld(t)
	w.stop()
	tags := func(node string) map[string]string { return map[string]string{provider.TagNode: node} }
	w.place.silent = true
	for name, node := range map[string]string{"silent": "vk", "another-nodes": "other"} {
		g := provider.Group{Name: name, Tags: tags(node), Containers: []provider.Container{{Name: "x"}}}
		if err := w.place.Create(bounded(t), g); err != nil {
			t.Fatal(err)
		}
	}
	w.patience = 10 * time.Millisecond
	w.start()
	w.place.until(1)
	if names := w.place.names(); names[0] != "another-nodes" {
		t.Errorf("the groups %v are left", names)
	}
	if list, _ := w.ListPodSandbox(bounded(t), nil); len(list) != 0 {
		t.Errorf("%d sandboxes are known", len(list))
	}
}

// TestAGroupThatEndedIsNotWaitedFor restarts a node whose cloud was restarted,
// too, so that agents came to life again that it does not know.
func TestAGroupThatEndedIsNotWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.stop()
	w.place.silent = true
	g := provider.Group{Name: "ended", Tags: map[string]string{provider.TagNode: "vk"}, Containers: []provider.Container{{Name: "x"}}}
	if err := w.place.Create(bounded(t), g); err != nil {
		t.Fatal(err)
	}
	w.place.only().endedUnlisted = true
	w.patience = time.Hour
	w.start()
	w.place.until(0)
}

// TestAGroupSpeaksForItsOwnPodOnly gives a group's tags another pod than its
// record is of.
func TestAGroupSpeaksForItsOwnPodOnly(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	w.run(pod, w.sandbox(pod), "main", "exec sleep 1000")
	w.settleRecords()
	w.stop()
	if err := os.RemoveAll(filepath.Join(w.root, "state")); err != nil {
		t.Fatal(err)
	}
	w.place.only().Tags[provider.TagUID] = "uid-of-another"
	w.start()
	w.place.until(0)
	if list, _ := w.ListPodSandbox(bounded(t), nil); len(list) != 0 {
		t.Errorf("%d sandboxes are known", len(list))
	}
}

// TestAProcessThatNobodyNotedIsEnded forgets that a container was started, as a
// node does that dies in that moment.
func TestAProcessThatNobodyNotedIsEnded(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	started := pipe(t)
	id := w.run(pod, w.sandbox(pod), "main", "echo $$ > "+started+"; exec sleep 1000")
	pid := must[int](t)(strconv.Atoi(strings.TrimSpace(string(must[[]byte](t)(os.ReadFile(started))))))
	process := must[int](t)(unix.PidfdOpen(pid, 0))
	defer unix.Close(process)
	w.stop()
	files := must[[]string](t)(filepath.Glob(filepath.Join(w.root, "state", "*.json")))
	record := string(must[[]byte](t)(os.ReadFile(files[0])))
	if err := os.WriteFile(files[0], []byte(strings.ReplaceAll(record, id, "another")), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start()
	fds := []unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, int(deadline.Milliseconds())); n != 1 || err != nil {
		t.Errorf("it runs on: %v", err)
	}
}

func TestAPodWhoseGroupIsGoneIsForgotten(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	w.run(pod, w.sandbox(pod), "main", "exec sleep 1000")
	w.stop()
	if err := w.place.Delete(bounded(t), w.place.only().Name); err != nil {
		t.Fatal(err)
	}
	w.start()
	if list, _ := w.ListContainers(bounded(t), nil); len(list) != 0 {
		t.Errorf("%d containers are known", len(list))
	}
	if left, _ := filepath.Glob(filepath.Join(w.root, "state", "*")); len(left) != 0 {
		t.Errorf("the records %v are left", left)
	}
}

// TestAfterARebootPodsStartAnew: the place still lists the groups, which will
// never run again, and the node has their records.
func TestAfterARebootPodsStartAnew(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	w.run(pod, w.sandbox(pod), "main", "exec sleep 1000")
	w.stop()
	w.place.reboot()
	w.start()
	if list, _ := w.ListPodSandbox(bounded(t), nil); len(list) != 0 {
		t.Errorf("%d sandboxes are taken up", len(list))
	}
	w.place.until(0)
}

func TestAGroupThatHasEndedIsNoticed(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	sandbox := w.sandbox(pod)
	id := w.run(pod, sandbox, "main", "exec sleep 1000")
	until := w.watch()
	w.place.reboot()
	if got := until(id, exited); got.ExitCode == 0 {
		t.Errorf("its container is %v", got)
	}
	w.place.until(0)
}

func TestAGroupThatDisappearsIsNoticed(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	sandbox := w.sandbox(pod)
	id := w.run(pod, sandbox, "main", "exec sleep 1000")
	eventually := w.eventually()
	if err := w.place.Delete(bounded(t), w.place.only().Name); err != nil {
		t.Fatal(err)
	}
	eventually("a sandbox that is not ready", func() bool {
		s := must[*runtimeapi.PodSandboxStatusResponse](t)(w.PodSandboxStatus(bounded(t), sandbox, false)).Status
		return s.State == runtimeapi.PodSandboxState_SANDBOX_NOTREADY
	})
	if got := w.status(id); got.State != exited || got.ExitCode == 0 {
		t.Errorf("its container is %v", got)
	}
}
