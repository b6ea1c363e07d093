package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"frankenetes.dev/cluster"
	"frankenetes.dev/test/machine"
)

// grepData looks for text in the cloud's data, in files below some directory, and
// returns the first that has it.
func grepData(m *operator, below, text string) string {
	m.T.Helper()
	found := errors.New("found")
	where := ""
	err := filepath.WalkDir(m.Home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(path, below) {
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte(text)) {
			where = path
			return found
		}
		return nil
	})
	if err != nil && !errors.Is(err, found) {
		m.T.Fatal(err)
	}
	return where
}

// testPause pauses, twice, looks for anything left, and resumes, twice.
func testPause(m *operator, marks machine.Traces) {
	before := hellos(m)
	config := m.kubectl("config", "view", "--raw", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
	services := m.kubectl("get", "services,configmaps,secrets,deployments", "-A", "-o", "name")

	m.Run("pause")
	machine.ExpectNothing(m.T, "after pause", marks.Groups(m.T))
	if out := m.Run("status"); !strings.Contains(out, "Paused") {
		m.T.Errorf("status of a paused cluster:\n%s", out)
	}
	m.Run("pause")
	if out, code := noWake(m).Try("kubectl", "get", "nodes", "--request-timeout=2s"); code == 0 || !strings.Contains(out, "not to be woken") {
		m.T.Errorf("a paused cluster answers %d, %s", code, out)
	}

	m.Run("resume")
	after := hellos(m)
	for name, uid := range before {
		if after[name] != uid {
			m.T.Errorf("pod %s had UID %s before the pause, %s after it", name, uid, after[name])
		}
	}
	if got := m.kubectl("config", "view", "--raw", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"); got != config {
		m.T.Errorf("the API server was %s and is %s", config, got)
	}
	if got := m.kubectl("get", "services,configmaps,secrets,deployments", "-A", "-o", "name"); got != services {
		m.T.Errorf("objects before:\n%s\nafter:\n%s", services, got)
	}
	m.kubectl("wait", "pod/volumes", "--for=condition=Ready", "--timeout", patience.String())
	if got := m.kubectl("exec", "volumes", "--", "cat", "/settings/colour"); got != "green" {
		m.T.Errorf("the ConfigMap volume after resume: %q", got)
	}
	m.Run("resume")
}

// testWake pauses, and then only uses the cluster, twice at once.
func testWake(m *operator) {
	m.Run("pause")
	type answer struct {
		out, told string
		code      int
	}
	answers := make(chan answer)
	for range 2 {
		go func() {
			var a answer
			a.out, a.told, a.code = m.Call(nil, "frankenetes", "kubectl", "get", "deployments", "-o", "name")
			answers <- a
		}()
	}
	told := 0
	for range 2 {
		a := <-answers
		if a.code != 0 || a.out != "deployment.apps/hello\n" {
			m.T.Errorf("exit code %d, %q, %s", a.code, a.out, a.told)
		}
		told += strings.Count(a.told, "waking it")
	}
	if told != 1 {
		m.T.Errorf("it was woken %d times", told)
	}
	hellos(m)
}

// testSleep makes a cluster that pauses itself, and leaves it alone, but for a
// pod that runs for a while.
func testSleep(m *operator) {
	m.Run("up", "sleepy", "--pause-after", "20s")
	m.kubectl("run", "worker", "--image=frankenetes.internal/test", "--restart=Never", "--", "sleep", "25")
	var awake bool
	m.eventually("it falls asleep by itself", func() error {
		var status struct {
			State string
			Pods  int
			Sleep *struct{ At time.Time }
		}
		if err := json.Unmarshal([]byte(m.Run("status", "sleepy", "-o", "json")), &status); err != nil {
			return err
		}
		awake = awake || status.Pods > 0 && status.Sleep != nil && status.Sleep.At.After(time.Now())
		if status.State != "Paused" {
			return errors.New("it is " + status.State)
		}
		return nil
	})
	if !awake {
		m.T.Error("while its pod ran, its status did not say when it would sleep")
	}
	if got := m.kubectl("get", "pod", "worker", "-o", "jsonpath={.status.phase}"); got != "Succeeded" {
		m.T.Errorf("its pod, after it was woken, is %s", got)
	}
	m.Run("down", "sleepy", "--yes")
	m.kubectl("config", "use-context", cluster.Context("frankenetes"))
}

// testSecondCluster makes one as the posts had it: every component, and every
// pod that declares ports, has a public address.
func testSecondCluster(m *operator) {
	m.Run("up", "second", "--network", "public")
	if out := m.Run("list", "-o", "name"); out != "frankenetes\nsecond\n" {
		m.T.Errorf("list: %q", out)
	}
	second, first := cluster.Context("second"), cluster.Context("frankenetes")
	if got := strings.TrimSpace(m.kubectl("config", "current-context")); got != second {
		m.T.Errorf("current context: %q", got)
	}
	if got := m.kubectl("get", "deployments", "-o", "name"); got != "" {
		m.T.Errorf("the second cluster has the first one's deployments: %q", got)
	}
	if got := m.kubectl("--context", first, "get", "deployments", "-o", "name"); got != "deployment.apps/hello\n" {
		m.T.Errorf("the first cluster has %q", got)
	}
	m.kubectl("run", "hello", "--image=frankenetes.internal/hello", "--port=8080")
	m.kubectl("wait", "pod/hello", "--for=condition=Ready", "--timeout", patience.String())
	var p pod
	m.get(&p, "pod", "hello")
	if err := answers(p); err != nil {
		m.T.Error(err)
	}
	if out, code := m.Try("up", "second", "--network", "vnet"); code != 4 {
		m.T.Errorf("another network for a cluster that exists: exit code %d\n%s", code, out)
	}
	m.Run("down", "second", "--yes")
	if got := m.kubectl("config", "get-contexts", "-o", "name"); got != first+"\n" {
		m.T.Errorf("contexts after down: %q", got)
	}
	m.kubectl("config", "use-context", first)
	hellos(m)
}

// testCloudRestart stops the cloud under a running cluster and starts it again.
func testCloudRestart(m *operator, marks machine.Traces) {
	m.Run("cloud", "stop")
	machine.ExpectNothing(m.T, "after cloud stop", marks.Cloud(m.T))
	if _, code := m.Try("status"); code != 5 {
		m.T.Errorf("status without a cloud: exit code %d, want 5", code)
	}
	m.Run("cloud", "start")
	// As after a reboot: what was running comes back by itself.
	unwoken := noWake(m)
	m.eventually("the cluster answers", func() error {
		if out, code := unwoken.Try("kubectl", "get", "--raw", "/readyz"); code != 0 {
			return errors.New(out)
		}
		return nil
	})
	hellos(m)
	m.Run("up")
	m.Run("pause")
	m.Run("cloud", "stop")
	m.Run("cloud", "start")
	if out := m.Run("status"); !strings.Contains(out, "Paused") {
		m.T.Errorf("a cluster that was paused, after the cloud's restart:\n%s", out)
	}
}

// noWake is the same operator, whose kubectl wakes no cluster.
func noWake(m *operator) *operator {
	o := &operator{m.For(m.T)}
	o.Env = append(slices.Clone(m.Env), "FRANKENETES_NO_WAKE=1")
	return o
}
