package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/cmd/containerd/server/config"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// TestMain lets this test's own binary stand in for containerd, under that name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "containerd" {
		if err := standIn(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// version is the part of the CRI that the stand-in has.
type version struct {
	runtimeapi.UnimplementedRuntimeServiceServer
}

func (version) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{RuntimeVersion: fmt.Sprint("stand-in ", os.Getpid())}, nil
}

// standIn serves on the configuration's socket, says that it is ready, and
// ends on SIGTERM. A file named broken beside the configuration keeps it from
// starting, one named slow lets it start for ever.
func standIn(configFile string) error {
	if _, err := os.Stat(filepath.Join(filepath.Dir(configFile), "broken")); err == nil {
		fmt.Fprintln(os.Stderr, "this containerd begins")
		return errors.New("this containerd is broken")
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(configFile), "slow")); err == nil {
		fmt.Println("starting")
		select {}
	}
	var c config.Config
	if err := config.LoadConfig(context.Background(), configFile, &c); err != nil {
		return err
	}
	address := c.Plugins["io.containerd.server.v1.grpc"].(map[string]any)["address"].(string)
	_ = os.Remove(address)
	listener, err := net.Listen("unix", address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, version{})
	ready, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	if _, err := ready.Write([]byte("READY=1")); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	go func() {
		<-stop
		server.Stop()
	}()
	return server.Serve(listener)
}

func options(t *testing.T) Options {
	t.Helper()
	// Short, for the sockets in it.
	dir, err := os.MkdirTemp("", "c")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "containerd")); err != nil {
		t.Fatal(err)
	}
	return Options{Tools: dir, Root: dir + "/root", State: dir + "/s", CNI: dir + "/cni", SandboxImage: "example.com/pause:1",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func start(t *testing.T, o Options) *Runtime {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestContainerdUnderstandsTheConfiguration(t *testing.T) {
	o := options(t)
	if err := o.write(); err != nil {
		t.Fatal(err)
	}
	var c config.Config
	if err := config.LoadConfig(t.Context(), o.configFile(), &c); err != nil {
		t.Fatal(err)
	}
	if c.Root != o.Root || c.State != o.State || len(c.Imports) != 0 {
		t.Errorf("root %s, state %s, imports %v", c.Root, c.State, c.Imports)
	}
	text, err := os.ReadFile(o.configFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, foreign := range []string{"/etc", "/opt", "/run/containerd", "/var/lib/containerd"} {
		if strings.Contains(string(text), `"`+foreign) {
			t.Errorf("the configuration reaches for %s", foreign)
		}
	}
}

func TestStartAndStop(t *testing.T) {
	o := options(t)
	r := start(t, o)
	if got, err := r.Version(t.Context()); err != nil || !strings.HasPrefix(got, "stand-in") || r.Adopted() {
		t.Errorf("version %q, adopted %v, %v", got, r.Adopted(), err)
	}
	pid := r.process().pid
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("containerd is still there: %v", err)
	}
	if _, err := os.Stat(o.Socket()); !os.IsNotExist(err) {
		t.Errorf("its socket is still there: %v", err)
	}
}

func TestARunningContainerdIsAdopted(t *testing.T) {
	o := options(t)
	first := start(t, o)
	before, err := first.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	second := start(t, o)
	after, err := second.Version(t.Context())
	if err != nil || after != before || !second.Adopted() {
		t.Errorf("%s became %s, adopted %v, %v", before, after, second.Adopted(), err)
	}
	if err := second.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestContainerdIsKeptAlive(t *testing.T) {
	r := start(t, options(t))
	defer func() {
		if err := r.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	before, err := r.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.process().signal(unix.SIGKILL)
	<-r.process().done
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	// The client that was there before finds the new one.
	for after := before; after == before; {
		v, err := r.CRI().Version(ctx, &runtimeapi.VersionRequest{}, grpc.WaitForReady(true))
		if ctx.Err() != nil {
			t.Fatalf("no other containerd came: %v", err)
		}
		if err == nil {
			after = v.RuntimeVersion
		}
	}
}

func TestAContainerdThatDoesNotStart(t *testing.T) {
	o := options(t)
	if err := o.write(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.Root, "broken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), o)
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %v", err)
	}
	if err == nil || !strings.Contains(err.Error(), "this containerd is broken") {
		t.Errorf("want its own words, got %v", err)
	}
	o.Tools = t.TempDir()
	if _, err := Start(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the program: %v", err)
	}
}

// TestAContainerdThatWasStartingIsEnded starts one whose daemon dies before it
// listens. The next daemon would not find it, and it would never end.
func TestAContainerdThatWasStartingIsEnded(t *testing.T) {
	o := options(t)
	if err := o.write(); err != nil {
		t.Fatal(err)
	}
	slow := filepath.Join(o.Root, "slow")
	if err := os.WriteFile(slow, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stray := exec.Command(filepath.Join(o.Tools, "containerd"), "--config", o.configFile())
	says, err := stray.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stray.Start(); err != nil {
		t.Fatal(err)
	}
	defer stray.Process.Kill()
	if _, err := says.Read(make([]byte, 1)); err != nil { // until it has begun
		t.Fatal(err)
	}
	if err := os.Remove(slow); err != nil {
		t.Fatal(err)
	}
	r := start(t, o)
	if err := stray.Wait(); err == nil || r.Adopted() {
		t.Errorf("the one that was starting: %v; adopted %v", err, r.Adopted())
	}
	if err := r.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestShimsThatContainerdHasForgottenAreEnded runs programs that look like shims:
// one with a directory, one without, and one of another containerd.
func TestShimsThatContainerdHasForgottenAreEnded(t *testing.T) {
	o := options(t)
	shim := func(id, address string) *exec.Cmd {
		cmd := exec.Command("sh", "-c", "read line", "shim", "-namespace", Namespace, "-id", id, "-address", address)
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	known, forgotten, foreign := shim("known", o.Socket()), shim("forgotten", o.Socket()), shim("foreign", "/elsewhere.sock")
	if err := os.MkdirAll(filepath.Join(o.tasks(), "known"), 0o700); err != nil {
		t.Fatal(err)
	}
	runs := func(cmd *exec.Cmd) bool {
		p, err := watch(cmd.Process.Pid, notOurs)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(p.fd)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n == 0
	}
	strays, err := o.strayShims()
	if err != nil || len(strays) != 1 || strays[0] != "forgotten" {
		t.Fatalf("strays: %v, %v", strays, err)
	}
	if err := o.endShim("forgotten"); err != nil {
		t.Fatal(err)
	}
	if runs(forgotten) || !runs(known) || !runs(foreign) {
		t.Errorf("forgotten runs: %v, known: %v, foreign: %v", runs(forgotten), runs(known), runs(foreign))
	}
	if err := o.endShims(); err != nil {
		t.Fatal(err)
	}
	if runs(known) || !runs(foreign) {
		t.Errorf("after the end: known runs: %v, foreign: %v", runs(known), runs(foreign))
	}
}

func TestRemainsGoAtTheSecondLook(t *testing.T) {
	there := []string{"left", "in use"}
	var removed []string
	m := remains{
		list:   func(context.Context) ([]string, error) { return there, nil },
		remove: func(_ context.Context, name string) error { removed = append(removed, name); return nil },
	}
	for _, next := range [][]string{{"left", "other"}, {"other"}, nil} {
		if _, err := m.tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		there = next
	}
	if got := strings.Join(removed, " "); got != "left other" {
		t.Errorf("removed: %s", got)
	}
}

func TestTemporaryDirectoriesGoBeforeAStart(t *testing.T) {
	o := options(t)
	left := filepath.Join(o.temporary(), "left")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := o.clearTemporary(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestContainersOfAnEarlierContainerdAreSeen(t *testing.T) {
	o := options(t)
	if o.InUse() {
		t.Error("a state directory that is not there is in use")
	}
	if err := os.MkdirAll(filepath.Join(o.State, "io.containerd.runtime.v2.task", Namespace, "0123abcd"), 0o700); err != nil {
		t.Fatal(err)
	}
	if !o.InUse() {
		t.Error("a container is not seen")
	}
}
