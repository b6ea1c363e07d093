package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"frankenetes.dev/test/machine"
)

// TestCluster is the life of a cluster, told in order: each part builds on
// those before it.
func TestCluster(t *testing.T) {
	m := newOperator(t)
	m.Run("up")
	marks := m.Traces()

	m.part("status and list", testStatus)
	m.part("a node as large as a group", testNode)
	m.part("three hellos answer by name", testDeployment)
	idle := openStreams(m)
	m.part("volumes and environment", testVolumes)
	m.part("containers as on any node", testExact)
	m.part("exec", testExec)
	m.part("logs", testLogs)
	m.part("port-forward", testPortForward)
	m.part("streams with much to say", testMuch)
	m.part("a hundred streams at once", testMany)
	m.part("files are copied", testCopy)
	m.part("logs with every option", testLogOptions)
	m.part("rules of restarting", testRules)
	m.part("what pods use", testUsage)
	m.part("limits of disk", testStorage)
	m.part("images as volumes", testImageVolumes)
	m.part("more volumes than a group has", testManyVolumes)
	m.part("a webhook at a pod's address", testWebhook)
	m.part("containers that are added", testDebug)
	m.part("jobs and exit codes", testJobs)
	m.part("stateful set", testStatefulSet)
	m.part("a wrong image", testWrongImage)
	m.part("what a container group cannot give", testRefused)
	m.part("nobody gets in without a certificate", testTLS)
	m.part("secrets stay secret", testSecrets)
	m.part("streams that were idle", func(m *operator) { testIdle(m, idle) })
	m.part("pause leaves nothing and resume brings all back", func(m *operator) { testPause(m, marks) })
	m.part("kubectl wakes it", testWake)
	m.part("backup and restore", testBackup)
	m.part("a cluster that nobody uses falls asleep", testSleep)
	m.part("a second cluster beside the first", testSecondCluster)
	m.part("the cloud stops and starts again", func(m *operator) { testCloudRestart(m, marks) })

	m.Run("down", "--yes")
	machine.ExpectNothing(t, "after down", marks.Groups(t))
	if out := m.Run("list", "-o", "name"); out != "" {
		t.Errorf("after down there is still %q", out)
	}
	if _, code := m.Try("status"); code != 3 {
		t.Errorf("status of a removed cluster: exit code %d, want 3", code)
	}
	m.Run("cloud", "stop")
	machine.ExpectNothing(t, "after cloud stop", marks.Cloud(t))
}

func testStatus(m *operator) {
	var status struct {
		State      string
		Ready      bool
		Components []struct{ Name, State string }
	}
	if err := json.Unmarshal([]byte(m.Run("status", "-o", "json")), &status); err != nil {
		m.T.Fatal(err)
	}
	if status.State != "Running" || !status.Ready || len(status.Components) != 5 {
		m.T.Errorf("status: %+v", status)
	}
	for _, c := range status.Components {
		if c.State != "Running" {
			m.T.Errorf("%s is %s", c.Name, c.State)
		}
	}
	if out := m.Run("list", "-o", "name"); out != "frankenetes\n" {
		m.T.Errorf("list: %q", out)
	}
	if out := m.Run("logs", "apiserver", "--tail", "3"); strings.Count(out, "\n") != 3 {
		m.T.Errorf("3 lines of log: %q", out)
	}
	// Repeating up finds everything in place and does no harm.
	m.Run("up")
}

// hellos waits until three pods of the Deployment answer with their names.
func hellos(m *operator) map[string]string {
	m.T.Helper()
	uids := map[string]string{}
	m.eventually("three hellos", func() error {
		clear(uids)
		var all pods
		m.get(&all, "pods", "-l", "app=hello")
		for _, p := range all.Items {
			if err := answers(p); err != nil {
				return err
			}
			uids[p.Metadata.Name] = p.Metadata.UID
		}
		if len(uids) != 3 {
			return fmt.Errorf("%d pods, want 3", len(uids))
		}
		return nil
	})
	return uids
}

func answers(p pod) error {
	if p.Status.Phase != "Running" || p.Status.PodIP == "" {
		return fmt.Errorf("pod %s does not run yet", p)
	}
	client := http.Client{Timeout: 2 * time.Second}
	res, err := client.Get("http://" + net.JoinHostPort(p.Status.PodIP, "8080"))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if want := "Hello from " + p.Metadata.Name + "\n"; err != nil || string(body) != want {
		return fmt.Errorf("%s answered %q, %v", p, body, err)
	}
	return nil
}

func testDeployment(m *operator) {
	m.apply("hello.yaml")
	m.kubectl("rollout", "status", "deployment/hello", "--timeout", patience.String())
	hellos(m)
	m.kubectl("scale", "deployment/hello", "--replicas=1")
	m.eventually("scale to one", func() error {
		if n := len(strings.Fields(m.kubectl("get", "pods", "-l", "app=hello", "-o", "name"))); n != 1 {
			return fmt.Errorf("%d pods", n)
		}
		return nil
	})
	m.kubectl("scale", "deployment/hello", "--replicas=3")
	hellos(m)
}

func testVolumes(m *operator) {
	m.apply("volumes.yaml")
	m.kubectl("wait", "pod/volumes", "--for=condition=Ready", "--timeout", patience.String())
	var p pod
	m.get(&p, "pod", "volumes")
	for command, want := range map[string]string{
		"cat /shared/order":                "first\nsecond\n",
		"cat /settings/colour":             "green",
		"cat /settings/nested.txt":         "two\nlines\n",
		"cat /password/password":           "correct-horse",
		"stat -L -c %a /password/password": "400\n",
		"cat /all/config/colour":           "green",
		"cat /all/password":                "correct-horse",
		"cat /downward/note":               "from-the-annotation",
		"for d in /password /all /var/run/secrets/kubernetes.io/serviceaccount; do stat -f -c %T $d; done": "tmpfs\ntmpfs\ntmpfs\n",
		"(echo x > /password/x || echo x > /all/x) 2>/dev/null || echo refused":                            "refused\n",
		"test -s /all/token && echo token":                                                                 "token\n",
		"test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo token":                        "token\n",
		"echo $GREETING, $COMPOSED, $COLOUR, $PASSWORD":                                                    "good morning, good morning to you, green, correct-horse\n",
		"echo $POD_NAME $POD_IP $CPU_LIMIT":                                                                "volumes " + p.Status.PodIP + " 500\n",
	} {
		if got := m.kubectl("exec", "volumes", "--", "sh", "-c", command); got != want {
			m.T.Errorf("%s: %q, want %q", command, got, want)
		}
	}
	m.kubectl("patch", "secret", "password", "-p", `{"stringData":{"second":"another"}}`)
	m.kubectl("annotate", "pod", "volumes", "look=again") // so that the kubelet does at once
	m.eventually("a change of a Secret arrives", func() error {
		if got := m.kubectl("exec", "volumes", "--", "sh", "-c", "cat /password/password /password/second /all/second"); got != "correct-horseanotheranother" {
			return fmt.Errorf("got %q", got)
		}
		return nil
	})
	if got := m.kubectl("exec", "volumes", "--", "sh", "-c", "env | grep ^FRANKENETES || echo none"); got != "none\n" {
		m.T.Errorf("the agent's variables are in the container's environment: %q", got)
	}
}

func testExec(m *operator) {
	if got := m.kubectl("exec", "deploy/hello", "--", "/hello", "version"); !strings.HasPrefix(got, "hello ") {
		m.T.Errorf("hello version: %q", got)
	}
	if got := m.kubectlWith(strings.NewReader("what I said"), "exec", "-i", "volumes", "--", "cat"); got != "what I said" {
		m.T.Errorf("cat: %q", got)
	}
	stdout, stderr, code := m.Call(nil, "frankenetes", "kubectl", "exec", "volumes", "-c", "main", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
	if stdout != "out\n" || !strings.HasPrefix(stderr, "err\n") || code != 7 {
		m.T.Errorf("stdout %q, stderr %q, exit code %d", stdout, stderr, code)
	}
	if out, code := m.Try("kubectl", "exec", "volumes", "--", "no-such-program"); code == 0 || !strings.Contains(out, "not found") {
		m.T.Errorf("a program that is not there: exit code %d, %q", code, out)
	}
	// kubectl asks for a terminal only when it has one itself: script gives it.
	if got := terminal(m, "exec", "-it", "volumes", "--", "tty"); !strings.Contains(got, "/dev/") {
		m.T.Errorf("tty: %q", got)
	}
}

// terminal runs kubectl on a pseudo-terminal.
func terminal(m *operator, args ...string) string {
	m.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	line := filepath.Join(m.Bin, "frankenetes") + " kubectl " + strings.Join(args, " ")
	cmd := exec.CommandContext(ctx, "script", "-qec", line, "/dev/null")
	cmd.Env = m.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.T.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

func testLogs(m *operator) {
	m.eventually("log of volumes", func() error {
		if got := m.kubectl("logs", "volumes"); got != "good morning on stdout\noops\n" && got != "oops\ngood morning on stdout\n" {
			return fmt.Errorf("got %q", got)
		}
		return nil
	})
	if got := m.kubectl("logs", "volumes", "--tail=1"); strings.Count(got, "\n") != 1 {
		m.T.Errorf("one line: %q", got)
	}
	if got := m.kubectl("logs", "volumes", "--since=1h", "--timestamps"); !strings.HasPrefix(got, "20") {
		m.T.Errorf("with timestamps: %q", got)
	}
	m.kubectl("run", "ticker", "--image=frankenetes.internal/test", "--restart=Never", "--",
		"sh", "-c", "for i in 1 2 3 4 5; do echo tick $i; sleep 0.3; done")
	m.eventually("ticker starts", func() error {
		if got := m.kubectl("logs", "ticker", "--ignore-errors"); !strings.Contains(got, "tick 1") {
			return fmt.Errorf("no tick yet: %q", got)
		}
		return nil
	})
	if got := m.kubectl("logs", "-f", "ticker"); got != "tick 1\ntick 2\ntick 3\ntick 4\ntick 5\n" {
		m.T.Errorf("followed to its end: %q", got)
	}
}

func testPortForward(m *operator) {
	address := m.converse("port-forward", "deploy/hello", ":8080").forwards()
	for range 3 {
		res, err := http.Get("http://" + address)
		if err != nil {
			m.T.Fatalf("through %s: %v", address, err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if !strings.HasPrefix(string(body), "Hello from hello-") {
			m.T.Errorf("through %s: %q", address, body)
		}
	}
}

func testJobs(m *operator) {
	m.apply("jobs.yaml")
	m.kubectl("wait", "job/third-time-lucky", "--for=condition=Complete", "--timeout", patience.String())
	if got := m.kubectl("logs", "job/third-time-lucky"); got != "try number 3\n" {
		m.T.Errorf("last try: %q", got)
	}
	m.kubectl("wait", "pod/once-more", "--for=jsonpath={.status.containerStatuses[0].restartCount}=1", "--timeout", patience.String())
	m.kubectl("wait", "pod/once-more", "--for=condition=Ready", "--timeout", patience.String())
	if got := m.kubectl("logs", "once-more", "--previous"); got != "first run\n" {
		m.T.Errorf("log of the run before: %q", got)
	}
	m.kubectl("wait", "pod/fails", "--for=jsonpath={.status.phase}=Failed", "--timeout", patience.String())
	got := m.kubectl("get", "pod", "fails", "-o",
		"jsonpath={.status.containerStatuses[0].state.terminated.exitCode} {.status.containerStatuses[0].state.terminated.message}")
	if strings.TrimSpace(got) != "42 goodbye" {
		m.T.Errorf("exit code and message: %q", got)
	}
	testGrace(m)
}

// testGrace deletes a pod that ends in its own time when it is told to.
func testGrace(m *operator) {
	m.kubectl("wait", "pod/graceful", "--for=condition=Ready", "--timeout", patience.String())
	log := m.converse("logs", "-f", "graceful")
	if first := log.line(); first != "waiting\n" {
		m.T.Fatalf("first line: %q", first)
	}
	m.kubectl("delete", "pod", "graceful", "--wait=true")
	// The kubelet may add that the container has gone meanwhile.
	if rest := log.rest(); !strings.HasPrefix(rest, "told to end\n") {
		m.T.Errorf("after delete: %q", rest)
	}
}

func testStatefulSet(m *operator) {
	m.apply("stateful.yaml")
	m.kubectl("rollout", "status", "statefulset/ordered", "--timeout", patience.String())
	var before, after pod
	m.get(&before, "pod", "ordered-0")
	m.kubectl("delete", "pod", "ordered-0", "--wait=true")
	m.eventually("ordered-0 again", func() error {
		m.get(&after, "pod", "ordered-0", "--ignore-not-found=false")
		if after.Metadata.UID == before.Metadata.UID {
			return fmt.Errorf("still the old one")
		}
		return answers(after)
	})
	m.kubectl("delete", "-f", filepath.Join("testdata", "stateful.yaml"))
}

func testWrongImage(m *operator) {
	m.kubectl("run", "wrong", "--image=frankenetes.internal/no-such-image", "--restart=Never")
	m.eventually("a reason", func() error {
		got := m.kubectl("get", "pod", "wrong", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.reason}")
		if got != "ErrImagePull" && got != "ImagePullBackOff" {
			return fmt.Errorf("waiting because of %q", got)
		}
		return nil
	})
	m.kubectl("delete", "pod", "wrong", "--wait=true")
}
