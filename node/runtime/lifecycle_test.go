package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/node/provider"
)

const (
	created = runtimeapi.ContainerState_CONTAINER_CREATED
	running = runtimeapi.ContainerState_CONTAINER_RUNNING
	exited  = runtimeapi.ContainerState_CONTAINER_EXITED
)

func TestAPodRunsAndLeavesNothing(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	sandbox := w.sandbox(pod)
	s := must[*runtimeapi.PodSandboxStatusResponse](t)(w.PodSandboxStatus(bounded(t), sandbox, false)).Status
	if s.State != runtimeapi.PodSandboxState_SANDBOX_READY || s.Network.GetIp() == "" || s.Metadata.Name != "web" {
		t.Errorf("the sandbox is %v", s)
	}
	if g := w.place.only(); len(g.Containers) != 2 || g.Tags["frankenetes-pod"] != "web" {
		t.Errorf("the group has %d containers and the tags %v", len(g.Containers), g.Tags)
	}

	until := w.watch()
	id := must[string](t)(w.create(pod, sandbox, "main", "echo out; echo err >&2; exit 7"))
	if got := w.status(id); got.State != created || got.ImageRef == "" || got.ImageId != "sha256:shell" {
		t.Errorf("the created container is %v", got)
	}
	if err := w.StartContainer(bounded(t), id); err != nil {
		t.Fatal(err)
	}
	got := until(id, exited)
	if got.ExitCode != 7 || got.Reason != "Error" || got.StartedAt == 0 || got.FinishedAt < got.StartedAt {
		t.Errorf("it ended as %v", got)
	}
	// Who learns of the end finds the whole log.
	if log := w.log(pod, "main"); !strings.Contains(log, "stdout: out\n") || !strings.Contains(log, "stderr: err\n") {
		t.Errorf("the log is %q", log)
	}

	if err := w.StopPodSandbox(bounded(t), sandbox); err != nil {
		t.Fatal(err)
	}
	if names := w.place.names(); len(names) != 0 {
		t.Errorf("the groups %v are left", names)
	}
	if got := w.status(id); got.ExitCode != 7 {
		t.Errorf("with the sandbox the container's end became %v", got)
	}
	if err := w.RemovePodSandbox(bounded(t), sandbox); err != nil {
		t.Fatal(err)
	}
	if _, err := w.ContainerStatus(bounded(t), id, false); status.Code(err) != codes.NotFound {
		t.Errorf("a removed container: %v, want NotFound", err)
	}
	if _, err := w.PodSandboxStatus(bounded(t), sandbox, false); status.Code(err) != codes.NotFound {
		t.Errorf("a removed sandbox: %v, want NotFound", err)
	}
}

func TestRestartsRunInTheSameGroup(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("job", v1.Container{Name: "main", Image: "shell"})
	sandbox := w.sandbox(pod)
	for _, code := range []string{"1", "2", "0"} {
		until := w.watch()
		id := w.run(pod, sandbox, "main", "exit "+code)
		if got := until(id, exited); got.ExitCode != int32(code[0]-'0') {
			t.Errorf("exit %s was reported as %d", code, got.ExitCode)
		}
		if err := w.RemoveContainer(bounded(t), id); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.place.names()); n != 1 {
		t.Errorf("there are %d groups, want one", n)
	}
}

func TestStopAsksThenKills(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "polite", Image: "shell"}, v1.Container{Name: "deaf", Image: "shell"})
	sandbox := w.sandbox(pod)
	dir := t.TempDir()
	// A script says by its pipe that it has set its trap.
	ready := func(name string) string {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
		return "echo > " + filepath.Join(dir, name) + "; "
	}
	await := func(name string) {
		t.Helper()
		if _, err := os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	polite := w.run(pod, sandbox, "polite", "trap 'echo bye; exit 5' TERM; "+ready("p")+"while :; do sleep 0.01; done")
	deaf := w.run(pod, sandbox, "deaf", "trap '' TERM; "+ready("d")+"while :; do sleep 0.01; done")
	await("p")
	await("d")
	if err := w.StopContainer(bounded(t), polite, 20); err != nil {
		t.Fatal(err)
	}
	if got := w.status(polite); got.ExitCode != 5 {
		t.Errorf("the polite one ended as %v", got)
	}
	if log := w.log(pod, "polite"); !strings.Contains(log, "bye") {
		t.Errorf("its last words are missing from %q", log)
	}
	if err := w.StopContainer(bounded(t), deaf, 1); err != nil {
		t.Fatal(err)
	}
	if got := w.status(deaf); got.ExitCode != 137 {
		t.Errorf("the deaf one ended as %v", got)
	}
	if err := w.StopContainer(bounded(t), deaf, 1); err != nil {
		t.Errorf("stopping what has ended: %v", err)
	}
}

func TestWhatCannotStartSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.shelf.put(imageWithEntrypoint("docker.io/library/broken:latest", "/no/such/program"))
	pod := w.pod("web", v1.Container{Name: "main", Image: "broken"})
	id := must[string](t)(w.create(pod, w.sandbox(pod), "main", "x"))
	err := w.StartContainer(bounded(t), id)
	if err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("StartContainer = %v, want the program's name", err)
	}
	if got := w.status(id); got.State != exited || got.ExitCode != 128 || got.Reason != "StartError" || got.Message == "" {
		t.Errorf("it is %v", got)
	}
}

func TestTheTerminationMessageIsThereWhenTheEndIs(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	inside := filepath.Join(t.TempDir(), "message")
	onNode := filepath.Join(w.root, "pods", string(pod.UID), "containers", "main", "1234")
	if err := os.MkdirAll(filepath.Dir(onNode), 0o755); err != nil {
		t.Fatal(err)
	}
	until := w.watch()
	id := w.run(pod, w.sandbox(pod), "main", "echo farewell > "+inside,
		&runtimeapi.Mount{HostPath: onNode, ContainerPath: inside})
	until(id, exited)
	if got, err := os.ReadFile(onNode); err != nil || string(got) != "farewell\n" {
		t.Errorf("the message is %q, %v", got, err)
	}
}

func TestARefusedGroupIsAnErrorAndNotKept(t *testing.T) {
	w := newWorld(t)
	w.place.refuse(errors.New("no cores are left"))
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	if _, err := w.RunPodSandbox(bounded(t), w.sandboxConfig(pod), ""); err == nil || !strings.Contains(err.Error(), "no cores are left") {
		t.Errorf("RunPodSandbox = %v, want the provider's words", err)
	}
	if list, _ := w.ListPodSandbox(bounded(t), nil); len(list) != 0 {
		t.Errorf("%d sandboxes are left", len(list))
	}
	w.place.refuse(nil)
	w.sandbox(pod) // the next attempt works
}

func TestAPlaceWithoutRoomIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	other := w.sandbox(w.pod("other", v1.Container{Name: "main", Image: "shell"}))
	full := fmt.Errorf("no cores are left: %w", provider.ErrRefused)
	w.place.refuse(full)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	w.Prepare(pod)
	for range 5 { // the kubelet cannot be kept from asking
		if _, err := w.RunPodSandbox(bounded(t), w.sandboxConfig(pod), ""); !errors.Is(err, full) {
			t.Errorf("RunPodSandbox = %v, want the provider's words", err)
		}
	}
	if creates, deletes := w.place.requests(); creates != 2 || deletes != 0 {
		t.Errorf("%d creates and %d deletes, want two, the other's included, and none", creates, deletes)
	}
	// There is room when another pod has gone.
	w.place.refuse(nil)
	if err := w.StopPodSandbox(bounded(t), other); err != nil {
		t.Fatal(err)
	}
	w.sandbox(pod)
}

func TestAnImageThatChangesMakesAnotherGroup(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"}, v1.Container{Name: "side", Image: "shell"})
	sandbox := w.sandbox(pod)
	side := w.run(pod, sandbox, "side", "exec sleep 1000")
	if err := w.StopContainer(bounded(t), w.run(pod, sandbox, "main", "exec sleep 1000"), 0); err != nil {
		t.Fatal(err)
	}
	w.shelf.put(imageWithEntrypoint("docker.io/library/other:latest", "/bin/true"))
	changed := func(image string) (string, error) {
		return w.CreateContainer(bounded(t), sandbox, &runtimeapi.ContainerConfig{Metadata: &runtimeapi.ContainerMetadata{Name: "main"},
			Image: &runtimeapi.ImageSpec{UserSpecifiedImage: image}, LogPath: "main/1.log"}, w.sandboxConfig(pod))
	}
	must[string](t)(changed("shell"))
	pod.Spec.Containers[0].Image = "other"
	if _, err := changed("other"); err == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("CreateContainer = %v, want that the image has changed", err)
	}
	if s := must[*runtimeapi.PodSandboxStatusResponse](t)(w.PodSandboxStatus(bounded(t), sandbox, false)).Status; s.State != runtimeapi.PodSandboxState_SANDBOX_NOTREADY {
		t.Errorf("the kubelet would not replace the sandbox %v", s)
	}
	if got := w.status(side); got.State != running {
		t.Errorf("the other container is %v before the kubelet has asked it to end", got)
	}
	if err := w.StopPodSandbox(bounded(t), sandbox); err != nil {
		t.Fatal(err)
	}
	w.sandbox(pod)
	if g := w.place.only(); !strings.HasPrefix(g.Containers[1].Image, "docker.io/library/other@") {
		t.Errorf("the new group runs %s", g.Containers[1].Image)
	}
}

func TestAPodThatIsDeletedMeanwhileLeavesNoGroup(t *testing.T) {
	w := newWorld(t)
	w.place.silent = true
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	ctx, cancel := context.WithCancel(bounded(t))
	failed := make(chan error)
	go func() {
		_, err := w.RunPodSandbox(ctx, w.sandboxConfig(pod), "")
		failed <- err
	}()
	w.place.until(1)
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("RunPodSandbox = %v, want that it was cancelled", err)
	}
	w.place.until(0)
}

func TestTheWrongPodIsNotRun(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	config := w.sandboxConfig(pod)
	config.Metadata.Uid = "of an earlier pod of that name"
	if _, err := w.RunPodSandbox(bounded(t), config, ""); status.Code(err) != codes.NotFound {
		t.Errorf("RunPodSandbox = %v, want NotFound", err)
	}
}

func TestASandboxWaitsForItsImages(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"}, v1.Container{Name: "side", Image: "late"})
	sandbox := w.sandbox(pod)
	if names := w.place.names(); len(names) != 0 {
		t.Fatalf("the group %v was made without an image", names)
	}
	s := must[*runtimeapi.PodSandboxStatusResponse](t)(w.PodSandboxStatus(bounded(t), sandbox, false)).Status
	if s.State != runtimeapi.PodSandboxState_SANDBOX_READY || s.Network != nil {
		t.Errorf("the kubelet would replace the sandbox %v", s)
	}
	if _, err := w.create(pod, sandbox, "main", "x"); err == nil || !strings.Contains(err.Error(), "side") {
		t.Errorf("CreateContainer = %v, want the container whose image is missing", err)
	}
	// The kubelet's own pull fails, until the image is there.
	late := &runtimeapi.ImageSpec{Image: "late"}
	if _, err := w.images.PullImage(bounded(t), late, nil, w.sandboxConfig(pod)); err == nil {
		t.Error("a missing image was pulled")
	}
	w.shelf.put(imageWithEntrypoint("docker.io/library/late:latest", "/bin/true"))
	if _, err := w.images.PullImage(bounded(t), late, nil, w.sandboxConfig(pod)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.create(pod, sandbox, "side", "x"); err == nil {
		t.Error("a container was created in a sandbox without a group")
	}
	s = must[*runtimeapi.PodSandboxStatusResponse](t)(w.PodSandboxStatus(bounded(t), sandbox, false)).Status
	if s.State != runtimeapi.PodSandboxState_SANDBOX_NOTREADY {
		t.Errorf("the kubelet would not replace the sandbox %v", s)
	}
	if err := w.StopPodSandbox(bounded(t), sandbox); err != nil {
		t.Fatal(err)
	}
	w.sandbox(pod)
	if g := w.place.only(); len(g.Containers) != 3 {
		t.Errorf("the group has %d containers, want three", len(g.Containers))
	}
}

func TestAGroupIsMadeAheadOrNotAtAll(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	w.Prepare(pod)
	w.Prepare(pod) // the kubelet may be told twice
	w.sandbox(pod)
	first := w.place.only()
	w.Discard(string(pod.UID)) // too late: it is the kubelet's now
	w.Prepare(pod)
	if again := w.place.only(); again != first {
		t.Error("a running pod got another group")
	}

	rejected := w.pod("rejected", v1.Container{Name: "main", Image: "shell"})
	w.Prepare(rejected)
	w.place.until(2)
	w.Discard(string(rejected.UID))
	w.place.until(1)
}

func TestListsAreFiltered(t *testing.T) {
	w := newWorld(t)
	a, b := w.pod("a", v1.Container{Name: "main", Image: "shell"}), w.pod("b", v1.Container{Name: "main", Image: "shell"})
	inA, inB := w.sandbox(a), w.sandbox(b)
	w.run(a, inA, "main", "exec sleep 1000")
	must[string](t)(w.create(b, inB, "main", "x"))
	for _, c := range []struct {
		filter *runtimeapi.ContainerFilter
		want   int
	}{
		{nil, 2},
		{&runtimeapi.ContainerFilter{PodSandboxId: inA}, 1},
		{&runtimeapi.ContainerFilter{State: &runtimeapi.ContainerStateValue{State: running}}, 1},
		{&runtimeapi.ContainerFilter{State: &runtimeapi.ContainerStateValue{State: exited}}, 0},
		{&runtimeapi.ContainerFilter{LabelSelector: map[string]string{"no": "such"}}, 0},
	} {
		if got := must[[]*runtimeapi.Container](t)(w.ListContainers(bounded(t), c.filter)); len(got) != c.want {
			t.Errorf("filter %v lets %d through, want %d", c.filter, len(got), c.want)
		}
	}
	byUID := &runtimeapi.PodSandboxFilter{LabelSelector: map[string]string{"io.kubernetes.pod.uid": string(b.UID)}}
	if got := must[[]*runtimeapi.PodSandbox](t)(w.ListPodSandbox(bounded(t), byUID)); len(got) != 1 || got[0].Id != inB {
		t.Errorf("the pod's UID finds %v", got)
	}
}
