package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"frankenetes.dev/cluster"
)

// grepShare looks for text in the files of the cluster's shares, and returns
// the first file that has it.
func grepShare(m *machine, text string) string {
	m.t.Helper()
	found := errors.New("found")
	where := ""
	err := filepath.WalkDir(m.home, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(path, "/etcd/") {
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
		m.t.Fatal(err)
	}
	return where
}

// testPause pauses, twice, looks for anything left, and resumes, twice.
func testPause(m *machine, marks traces) {
	before := hellos(m)
	config := m.kubectl("config", "view", "--raw", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
	services := m.kubectl("get", "services,configmaps,secrets,deployments", "-A", "-o", "name")

	m.run("pause")
	expectNothing(m.t, "after pause", marks.groups(m.t, m.home))
	if out := m.run("status"); !strings.Contains(out, "Paused") {
		m.t.Errorf("status of a paused cluster:\n%s", out)
	}
	m.run("pause")
	if _, code := m.try("kubectl", "get", "nodes", "--request-timeout=2s"); code == 0 {
		m.t.Error("a paused cluster answers")
	}

	m.run("resume")
	after := hellos(m)
	for name, uid := range before {
		if after[name] != uid {
			m.t.Errorf("pod %s had UID %s before the pause, %s after it", name, uid, after[name])
		}
	}
	if got := m.kubectl("config", "view", "--raw", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"); got != config {
		m.t.Errorf("the API server was %s and is %s", config, got)
	}
	if got := m.kubectl("get", "services,configmaps,secrets,deployments", "-A", "-o", "name"); got != services {
		m.t.Errorf("objects before:\n%s\nafter:\n%s", services, got)
	}
	m.kubectl("wait", "pod/volumes", "--for=condition=Ready", "--timeout", patience.String())
	if got := m.kubectl("exec", "volumes", "--", "cat", "/settings/colour"); got != "green" {
		m.t.Errorf("the ConfigMap volume after resume: %q", got)
	}
	m.run("resume")
}

// testSecondCluster makes, uses and removes another cluster in the same cloud.
func testSecondCluster(m *machine) {
	m.run("up", "second")
	if out := m.run("list", "-o", "name"); out != "frankenetes\nsecond\n" {
		m.t.Errorf("list: %q", out)
	}
	second, first := cluster.Context("second"), cluster.Context("frankenetes")
	if got := strings.TrimSpace(m.kubectl("config", "current-context")); got != second {
		m.t.Errorf("current context: %q", got)
	}
	if got := m.kubectl("get", "deployments", "-o", "name"); got != "" {
		m.t.Errorf("the second cluster has the first one's deployments: %q", got)
	}
	if got := m.kubectl("--context", first, "get", "deployments", "-o", "name"); got != "deployment.apps/hello\n" {
		m.t.Errorf("the first cluster has %q", got)
	}
	m.kubectl("run", "hello", "--image=frankenetes.internal/hello")
	m.kubectl("wait", "pod/hello", "--for=condition=Ready", "--timeout", patience.String())
	m.run("down", "second", "--yes")
	if got := m.kubectl("config", "get-contexts", "-o", "name"); got != first+"\n" {
		m.t.Errorf("contexts after down: %q", got)
	}
	m.kubectl("config", "use-context", first)
	hellos(m)
}

// testCloudRestart stops the cloud under a running cluster and starts it again.
func testCloudRestart(m *machine, marks traces) {
	m.run("cloud", "stop")
	expectNothing(m.t, "after cloud stop", marks.cloud(m.t, m.home))
	if _, code := m.try("status"); code != 5 {
		m.t.Errorf("status without a cloud: exit code %d, want 5", code)
	}
	m.run("cloud", "start")
	m.run("up")
	hellos(m)
}
