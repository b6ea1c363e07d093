package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"frankenetes.dev/test/machine"
)

// patience is how long anything may take on a slow and busy machine.
const patience = machine.Patience

// operator is somebody with a machine of the test's own, who runs clusters on it.
type operator struct{ *machine.Machine }

func newOperator(t *testing.T) *operator {
	t.Helper()
	return &operator{machine.New(t)}
}

// part runs one part of a test's story; where it fails, the story ends.
func (m *operator) part(name string, fn func(m *operator)) {
	m.T.Helper()
	if !m.T.Run(name, func(t *testing.T) { fn(&operator{m.For(t)}) }) {
		m.T.FailNow()
	}
}

// kubectl calls kubectl, which must succeed, and returns its standard output.
func (m *operator) kubectl(args ...string) string {
	m.T.Helper()
	return m.kubectlWith(nil, args...)
}

// kubectlWith is kubectl with something to read.
func (m *operator) kubectlWith(stdin io.Reader, args ...string) string {
	m.T.Helper()
	stdout, stderr, code := m.Call(stdin, "frankenetes", append([]string{"kubectl"}, args...)...)
	if code != 0 {
		m.T.Fatalf("kubectl %s: exit code %d\n%s%s\n%s", strings.Join(args, " "), code, stdout, stderr, m.describe())
	}
	return stdout
}

// describe is what one wants to know when something does not work.
func (m *operator) describe() string {
	pods, _, _ := m.Call(nil, "frankenetes", "kubectl", "get", "pods", "-A", "-o", "wide")
	events, _, _ := m.Call(nil, "frankenetes", "kubectl", "get", "events", "-A", "--sort-by=.lastTimestamp")
	node, _, _ := m.Call(nil, "frankenetes", "logs", "virtual-kubelet", "--tail", "40")
	return pods + "\n" + events + "\n" + node
}

// killAll kills whatever runs in a container, and may itself be among that.
func (m *operator) killAll(pod, container string) {
	m.T.Helper()
	if out, code := m.Try("kubectl", "exec", pod, "-c", container, "--", "kill", "-9", "-1"); code != 0 && code != 137 {
		m.T.Fatalf("kill all in %s: exit code %d\n%s", pod, code, out)
	}
}

// apply applies a manifest of testdata.
func (m *operator) apply(name string) {
	m.T.Helper()
	m.kubectl("apply", "-f", filepath.Join("testdata", name))
}

// get decodes what kubectl knows of an object.
func (m *operator) get(v any, args ...string) {
	m.T.Helper()
	out := m.kubectl(append(append([]string{"get"}, args...), "-o", "json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		m.T.Fatalf("kubectl get %s: %v", strings.Join(args, " "), err)
	}
}

// eventually calls check until it returns nothing to complain of.
func (m *operator) eventually(what string, check func() error) {
	m.T.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	m.T.Fatalf("%s: %v\n%s", what, err, m.describe())
}

// address is where a group of a cluster can be reached from this machine.
func (m *operator) address(resourceGroup, group string) string {
	m.T.Helper()
	g, err := m.Connect().GetGroup(context.Background(), resourceGroup, group)
	if err != nil || g == nil || g.Properties.IPAddress == nil || g.Properties.IPAddress.IP == nil {
		m.T.Fatalf("address of %s/%s: %+v, %v", resourceGroup, group, g, err)
	}
	return *g.Properties.IPAddress.IP
}

// pods are the parts of a list of pods that the tests look at.
type pods struct {
	Items []pod `json:"items"`
}

type pod struct {
	Metadata struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	} `json:"metadata"`
	Status struct {
		Phase string `json:"phase"`
		PodIP string `json:"podIP"`
	} `json:"status"`
}

func (p pod) String() string {
	return fmt.Sprintf("%s (%s, %s)", p.Metadata.Name, p.Status.Phase, p.Status.PodIP)
}
