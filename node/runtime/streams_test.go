package runtime_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	//lint:ignore SA1019 client-go takes connections of no other kind.
	"k8s.io/apimachinery/pkg/util/httpstream/spdy"
	"k8s.io/client-go/tools/remotecommand"
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

// streamIdle is what the tests have for the kubelet's four hours.
const streamIdle = 1500 * time.Millisecond

// converse opens the streams of a URL as kubectl does, with a client that says
// so often that it is there. It returns the program's ends of stdin and stdout,
// and how it came to an end.
func converse(t *testing.T, address string, ping time.Duration) (io.WriteCloser, *bufio.Reader, <-chan error) {
	t.Helper()
	transport := must[*spdy.SpdyRoundTripper](t)(spdy.NewRoundTripperWithConfig(spdy.RoundTripperConfig{PingPeriod: ping}))
	executor := must[remotecommand.Executor](t)(remotecommand.NewSPDYExecutorForTransports(transport, transport, http.MethodPost, must[*url.URL](t)(url.Parse(address))))
	in, keyboard := io.Pipe()
	screen, out := io.Pipe()
	ended := make(chan error, 1)
	ctx := bounded(t)
	go func() {
		err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: in, Stdout: out})
		out.CloseWithError(cmp.Or(err, io.EOF))
		ended <- err
	}()
	t.Cleanup(func() { keyboard.Close(); screen.Close() })
	return keyboard, bufio.NewReader(screen), ended
}

func echoes(t *testing.T, in io.Writer, out *bufio.Reader, line string) {
	t.Helper()
	if _, err := io.WriteString(in, line); err != nil {
		t.Fatal(err)
	}
	if got, err := out.ReadString('\n'); got != line || err != nil {
		t.Fatalf("said %q, heard %q, %v", line, got, err)
	}
}

func TestStreamsLastWhileTheirClientIsThere(t *testing.T) {
	w := newIdleWorld(t, streamIdle)
	pod := w.pod("web", v1.Container{Name: "main", Image: "shell", Stdin: true})
	sandbox := w.sandbox(pod)
	id := must[string](t)(w.CreateContainer(bounded(t), sandbox, &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: "main"}, Args: []string{"exec cat"}, Stdin: true, LogPath: "main/0.log",
		Linux: &runtimeapi.LinuxContainerConfig{SecurityContext: &runtimeapi.LinuxContainerSecurityContext{
			RunAsUser: &runtimeapi.Int64Value{Value: int64(os.Getuid())}, RunAsGroup: &runtimeapi.Int64Value{Value: int64(os.Getgid())}}},
	}, w.sandboxConfig(pod)))
	if err := w.StartContainer(bounded(t), id); err != nil {
		t.Fatal(err)
	}
	exec := must[*runtimeapi.ExecResponse](t)(w.Exec(bounded(t), &runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{"cat"}, Stdin: true, Stdout: true}))
	attach := must[*runtimeapi.AttachResponse](t)(w.Attach(bounded(t), &runtimeapi.AttachRequest{ContainerId: id, Stdin: true, Stdout: true}))
	type conversation struct {
		name string
		in   io.Writer
		out  *bufio.Reader
	}
	var open []conversation
	for name, address := range map[string]string{"exec": exec.Url, "attach": attach.Url} {
		in, out, _ := converse(t, address, streamIdle/50)
		echoes(t, in, out, name+" begins\n")
		open = append(open, conversation{name, in, out})
	}
	// That those which are silent altogether have been ended, one after another,
	// says that the time is over.
	for range 2 {
		silent := must[*runtimeapi.ExecResponse](t)(w.Exec(bounded(t), &runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{"cat"}, Stdin: true, Stdout: true}))
		in, out, ended := converse(t, silent.Url, 0)
		echoes(t, in, out, "silent\n")
		select {
		case <-ended:
		case <-time.After(deadline):
			t.Fatal("a client of whom nothing is heard is waited for")
		}
	}
	for _, c := range open {
		echoes(t, c.in, c.out, c.name+" goes on\n")
	}
}
