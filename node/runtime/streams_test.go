package runtime_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	remote "k8s.io/cri-client/pkg"
	"k8s.io/utils/exec"

	"frankenetes.dev/node/images"
)

func imageWithEntrypoint(ref, program string) images.Image {
	return images.Image{Ref: ref, ID: "sha256:" + program, Digest: "sha256:" + strings.Repeat("b", 64), Entrypoint: []string{program}}
}

func TestExecSyncTellsOutputAndExitCode(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	id := w.run(pod, w.sandbox(pod), "main", "exec sleep 1000")
	out, errs, err := w.ExecSync(bounded(t), id, []string{"sh", "-c", "echo out; echo err >&2; exit 3"}, deadline)
	if string(out) != "out\n" || string(errs) != "err\n" {
		t.Errorf("it wrote %q and %q", out, errs)
	}
	var code exec.ExitError
	if !errors.As(err, &code) || code.ExitStatus() != 3 {
		t.Errorf("ExecSync = %v, want exit code 3", err)
	}
	if _, _, err := w.ExecSync(bounded(t), id, []string{"true"}, deadline); err != nil {
		t.Errorf("a command that succeeds: %v", err)
	}
	if _, _, err := w.ExecSync(bounded(t), id, []string{"sleep", "1000"}, 50*time.Millisecond); !errors.Is(err, remote.ErrCommandTimedOut) {
		t.Errorf("a command that hangs: %v, want that it timed out", err)
	}
	cancelled, cancel := context.WithCancel(bounded(t))
	cancel()
	if _, _, err := w.ExecSync(cancelled, id, []string{"sleep", "1000"}, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("a command that was cancelled: %v", err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	id := w.run(pod, w.sandbox(pod), "main", "exec sleep 1000")
	out, _, err := w.ExecSync(bounded(t), id, []string{"head", "-c", "20000000", "/dev/zero"}, deadline)
	if err != nil || len(out) != 16<<20 {
		t.Errorf("%d bytes of 20 MB were kept, %v, want 16 MiB", len(out), err)
	}
}

func TestStreamsAreServedOnLoopbackToWhoHasTheToken(t *testing.T) {
	w := newWorld(t)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell"})
	sandbox := w.sandbox(pod)
	id := w.run(pod, sandbox, "main", "exec sleep 1000")
	e := must[*runtimeapi.ExecResponse](t)(w.Exec(bounded(t), &runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{"id"}, Stdout: true}))
	f := must[*runtimeapi.PortForwardResponse](t)(w.PortForward(bounded(t), &runtimeapi.PortForwardRequest{PodSandboxId: sandbox}))
	for _, address := range []string{e.Url, f.Url} {
		u := must[*url.URL](t)(url.Parse(address))
		if u.Hostname() != "127.0.0.1" || len(u.Path) < 10 {
			t.Errorf("streams are at %s", u)
		}
	}
	if e.Url == f.Url {
		t.Error("two requests have one token")
	}
	if _, err := w.Exec(bounded(t), &runtimeapi.ExecRequest{ContainerId: "no such", Stdout: true}); err == nil {
		t.Error("a container that is not there can be talked to")
	}
}
