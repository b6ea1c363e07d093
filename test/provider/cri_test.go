package baremetal

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/node/provider"
	"frankenetes.dev/node/provider/cri"
	"frankenetes.dev/node/provider/providertest"
)

// TestCRI is the life of a pod on a machine that has a container runtime and
// nothing else, told in order: each part builds on those before it.
func TestCRI(t *testing.T) {
	b := newBed(t)
	b.part("the provider keeps the contract", testContract)
	n := &bareNode{plane: startPlane(b)}
	n.prepare()
	n.start()
	n.part("a pod gets ready", testReady)
	n.part("logs and exec", testStreams)
	n.part("volumes are the pod's alone", testVolumes)
	n.part("a container has what is offered and no more", testConfined)
	n.part("an image that needs a password", testClosed)
	n.part("a restarted node goes on with its pods", testNodeRestart)
	n.part("the password is needed after the restart, too", testClosedStill)
	n.part("the runtime is killed", testRuntimeKilled)
	n.part("a pod whose sandbox has ended starts anew", testLost)
	n.part("deletion leaves nothing", testDeletion)
}

// part runs one part of a test's story; where it fails, the story ends.
func (b *bed) part(name string, fn func(b *bed)) {
	b.t.Helper()
	if !b.story.Run(name, func(t *testing.T) {
		b.t = t
		defer func() { b.t = b.story }()
		fn(b)
	}) {
		b.story.FailNow()
	}
}

// objects are a pod and what it needs where no controller makes it.
const objects = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: default}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-root-ca.crt}
data: {ca.crt: none}
---
apiVersion: v1
kind: Secret
metadata: {name: words}
stringData: {greeting: bonjour}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  nodeName: baremetal
  terminationGracePeriodSeconds: 2
  initContainers:
  - name: prepare
    image: frankenetes.internal/test
    imagePullPolicy: IfNotPresent
    command: [sh, -c, echo prepared > /data/file]
    volumeMounts: [{name: data, mountPath: /data}]
  containers:
  - name: main
    image: frankenetes.internal/test
    imagePullPolicy: Never
    command: [sh, -c, 'echo "it says $GREETING"; exec /agnhost netexec --http-port=8080']
    env: [{name: GREETING, valueFrom: {secretKeyRef: {name: words, key: greeting}}}]
    readinessProbe: {httpGet: {path: /hostname, port: 8080}, periodSeconds: 1}
    resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: 500m, memory: 150Mi}}
    volumeMounts:
    - {name: data, mountPath: /data}
    - {name: words, mountPath: /words, readOnly: true}
  volumes:
  - {name: data, emptyDir: {}}
  - {name: words, secret: {secretName: words, defaultMode: 0400}}
`

func testContract(b *bed) {
	conn, err := cri.Dial(b.socket)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	sleeper := provider.Container{Name: "sleep", Image: image, Command: []string{"/bin/sleep", "1000"}, Mounts: []provider.Mount{{Volume: "v", Path: "/v"}},
		Request: provider.Resources{CPU: 0.5, MemoryGB: 0.1}, Limit: provider.Resources{CPU: 0.5, MemoryGB: 0.1}}
	once := provider.Container{Name: "once", Image: image, Command: []string{"/bin/touch", "/v/file"}, Mounts: sleeper.Mounts}
	twin := sleeper
	twin.Name = "twin"
	dir := filepath.Join(b.dir, "contract")
	providertest.Contract(b.t, cri.New(conn, "runc", dir), func(string) provider.Group {
		return provider.Group{Volumes: []string{"v"}, Init: []provider.Container{once}, Containers: []provider.Container{sleeper, twin}}
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		b.t.Errorf("directories %v, %v", left, err)
	}
	expectNothing(b.t, b.left(b.t.Context()))
}

func expectNothing(t *testing.T, left []string) {
	t.Helper()
	if len(left) > 0 {
		t.Errorf("there is still:\n  %s", strings.Join(left, "\n  "))
	}
}

// webPod is what the tests look at of the pod.
type webPod struct {
	Metadata struct{ UID string }
	Status   struct {
		PodIP             string
		ContainerStatuses []struct {
			ContainerID  string
			ImageID      string
			Ready        bool
			RestartCount int
		}
	}
}

// web waits until the pod is ready after so many restarts, and answers.
func (n *bareNode) web(restarts int) webPod {
	n.t.Helper()
	var pod webPod
	n.eventually("the pod is ready", func() error {
		n.get(&pod, "pod", "web")
		s := pod.Status.ContainerStatuses
		if len(s) != 1 || !s[0].Ready || s[0].RestartCount != restarts {
			return fmt.Errorf("its containers are %+v, want one that is ready after %d restarts", s, restarts)
		}
		client := http.Client{Timeout: 5 * time.Second}
		answer, err := client.Get("http://" + net.JoinHostPort(pod.Status.PodIP, "8080") + "/hostname")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s %q, %w", answer.Status, body, err)
		}
		return nil
	})
	return pod
}

func testReady(n *bareNode) {
	// The admission of pods wants the account, which it may not know yet.
	n.eventually("the objects are made", func() error {
		_, _, err := n.try([]byte(objects), "apply", "-f", "-")
		return err
	})
	pod := n.web(0)
	if ip := net.ParseIP(pod.Status.PodIP); ip == nil || !ip.Mask(net.CIDRMask(24, 32)).Equal(n.gateway.Mask(net.CIDRMask(24, 32))) {
		n.t.Errorf("the pod's address is %q, want one of the runtime's network", pod.Status.PodIP)
	}
	if id := pod.Status.ContainerStatuses[0].ImageID; !strings.HasPrefix(id, "sha256:") {
		n.t.Errorf("an image of no registry is %q", id)
	}
	// Groups reach the API server, too.
	n.exec("/agnhost", "connect", "--timeout=10s", n.at(n.api))
}

// exec runs a command in the pod.
func (n *bareNode) exec(command ...string) string {
	n.t.Helper()
	return n.kubectl(append([]string{"exec", "web", "--"}, command...)...)
}

func testStreams(n *bareNode) {
	n.eventually("the log", func() error {
		if out := n.kubectl("logs", "web"); !strings.HasPrefix(out, "it says bonjour\n") {
			return fmt.Errorf("%q", out)
		}
		return nil
	})
	if out := n.exec("cat", "/data/file", "/words/greeting"); out != "prepared\nbonjour" {
		n.t.Errorf("files: %q", out)
	}
	var exit *exec.ExitError
	if _, _, err := n.try(nil, "exec", "web", "--", "sh", "-c", "exit 7"); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		n.t.Errorf("a command that exits with 7: %v", err)
	}
	if out := n.exec("ls", "/var/run/secrets/kubernetes.io/serviceaccount"); !strings.Contains(out, "token") {
		n.t.Errorf("the account's files: %q", out)
	}
}

// testVolumes looks whether anyone but root could read the pod's secret.
func testVolumes(n *bareNode) {
	files, err := filepath.Glob(n.path("kubelet/groups/*/volumes/*/greeting"))
	if err != nil || len(files) != 1 {
		n.t.Fatalf("the secret is at %v, %v", files, err)
	}
	group := filepath.Dir(filepath.Dir(filepath.Dir(files[0])))
	for _, path := range []string{n.path("kubelet/groups"), group} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
			n.t.Errorf("%s: %v, %v, want that only root can enter", path, info, err)
		}
	}
}

func testConfined(n *bareNode) {
	if out := n.exec("grep", "CapBnd", "/proc/1/status"); !strings.HasSuffix(strings.TrimSpace(out), "00000000a80425fb") {
		n.t.Errorf("capabilities: %s, want the fourteen", out)
	}
	if out := n.exec("grep", "Seccomp:", "/proc/1/status"); !strings.HasSuffix(strings.TrimSpace(out), "2") {
		n.t.Errorf("there is no filter of system calls: %s", out)
	}
	limit := strings.TrimSpace(n.exec("sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"))
	if bytes, err := strconv.ParseInt(limit, 10, 64); err != nil || bytes < 150<<20 || bytes > 200_000_000 {
		n.t.Errorf("the limit of memory is %q, want 150Mi, rounded up", limit)
	}
	if _, _, err := n.try(nil, "exec", "web", "--", "mount", "-t", "tmpfs", "none", "/tmp"); err == nil {
		n.t.Error("a container could mount")
	}
}

func testNodeRestart(n *bareNode) {
	before := n.web(0)
	n.node.end(syscall.SIGKILL)
	n.start()
	after := n.web(0)
	if before.Status.ContainerStatuses[0].ContainerID != after.Status.ContainerStatuses[0].ContainerID || before.Status.PodIP != after.Status.PodIP {
		n.t.Errorf("the pod was %+v and is %+v", before, after)
	}
	n.exec("true")
	if out := n.kubectl("logs", "web"); strings.Count(out, "it says bonjour\n") != 1 {
		n.t.Errorf("the log is %q", out)
	}
}

// testRuntimeKilled kills containerd, which is started again: pods go on, and
// what follows finds them.
func testRuntimeKilled(n *bareNode) {
	before := n.web(0)
	pids := pidsWith(n.t, filepath.Join(n.dir, "containerd", "config.toml"))
	if len(pids) != 1 {
		n.t.Fatalf("there are %d containerds", len(pids))
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		n.t.Fatal(err)
	}
	n.eventually("the runtime is back", func() error {
		_, err := n.runtime.Version(n.t.Context())
		return err
	})
	after := n.web(0)
	if before.Status.ContainerStatuses[0].ContainerID != after.Status.ContainerStatuses[0].ContainerID {
		n.t.Errorf("the pod was %+v and is %+v", before, after)
	}
}

// testLost ends the pod's sandbox behind the node's back.
func testLost(n *bareNode) {
	all := n.sandboxes(n.t.Context())
	if len(all) != 1 {
		n.t.Fatalf("there are %d sandboxes", len(all))
	}
	if _, err := n.runtime.CRI().StopPodSandbox(n.t.Context(), &runtimeapi.StopPodSandboxRequest{PodSandboxId: all[0].Id}); err != nil {
		n.t.Fatal(err)
	}
	n.web(1)
	n.eventually("the old sandbox is removed", func() error {
		if left := n.sandboxes(n.t.Context()); len(left) != 1 || left[0].Id == all[0].Id {
			return fmt.Errorf("the sandboxes are %v", left)
		}
		return nil
	})
}

func testDeletion(n *bareNode) {
	n.kubectl("delete", "pod", "web", "--timeout="+patience.String())
	n.eventually("all is gone", func() error {
		left := n.left(n.t.Context())
		dirs, err := os.ReadDir(n.path("kubelet/groups"))
		for _, d := range dirs {
			left = append(left, "directory "+d.Name())
		}
		if len(left) > 0 {
			err = errors.Join(err, fmt.Errorf("there is still %v", left))
		}
		return err
	})
	n.node.end(syscall.SIGTERM)
	if code := n.node.command.ProcessState.ExitCode(); code != 0 {
		n.t.Errorf("the node's exit code is %d", code)
	}
}
