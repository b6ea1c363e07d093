package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

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
	if _, code := m.Try("kubectl", "get", "nodes", "--request-timeout=2s"); code == 0 {
		m.T.Error("a paused cluster answers")
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

// testSecondCluster makes, uses and removes another cluster in the same cloud.
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
	m.Run("up")
	hellos(m)
}
