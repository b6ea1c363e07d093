package runtime_test

import (
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
)

func TestEachStageOfAStartIsToldOnceAndInOrder(t *testing.T) {
	w := newWorld(t)
	told := func(when string, want ...string) {
		t.Helper()
		w.mu.Lock()
		defer w.mu.Unlock()
		if !slices.Equal(w.stages, want) {
			t.Errorf("%s: %q, want %q", when, w.stages, want)
		}
	}
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"}, v1.Container{Name: "other", Image: "shell"})
	w.Prepare(pod)
	sandbox := w.sandbox(pod)
	told("with its group", "images", "cloud", "agent")
	w.Ready(string(pod.UID)) // it was, in an earlier sandbox
	w.run(pod, sandbox, "main", "sleep 1000")
	started := []string{"images", "cloud", "agent", "kubelet", "files", "process"}
	told("with its first container", started...)
	until := w.watch()
	until(w.run(pod, sandbox, "other", "exit 0"), exited)
	told("with its second container", started...)
	w.Ready(string(pod.UID))
	w.Ready(string(pod.UID))
	told("ready", append(started, "ready")...)
	until(w.run(pod, sandbox, "other", "exit 0"), exited)
	told("after a restart", append(started, "ready")...)
}

func TestAPodThatIsTakenUpAgainHasNoStages(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	sandbox := w.sandbox(pod)
	until := w.watch()
	until(w.run(pod, sandbox, "main", "exit 0"), exited)
	w.stop()
	before := len(w.stages)
	w.start()
	w.run(pod, sandbox, "main", "sleep 1000")
	w.Ready(string(pod.UID))
	if got := w.stages[before:]; len(got) > 0 {
		t.Errorf("after the restart: %q", got)
	}
}
