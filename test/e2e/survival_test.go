package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"frankenetes.dev/test/machine"
)

// TestNodeSurvives takes away the node's process, and then its whole group with
// all that it had written, while pods run, end, are deleted and come. No pod
// may notice. Then the cloud refuses what the node asks for.
func TestNodeSurvives(t *testing.T) {
	m := newOperator(t)
	m.Run("up")
	m.part("the node's process is killed", func(m *operator) {
		testNodeLost(m, func(node machine.Process) int { return node.PID })
	})
	m.part("the node's group is lost", func(m *operator) {
		testNodeLost(m, func(node machine.Process) int { return node.Parent }) // the shim: the whole sandbox goes
	})
	m.part("the cloud has no room for a pod", testQuota)
	m.part("the cloud takes few requests", testThrottled)
	m.Run("down", "--yes")
	m.Run("cloud", "stop")
}

// testNodeLost kills a process, and with it the node.
func testNodeLost(m *operator, whom func(node machine.Process) int) {
	m.apply("survival.yaml")
	m.kubectl("wait", "pod/counter", "pod/doomed", "pod/job", "--for=condition=Ready", "--timeout", patience.String())
	m.resize("counter")
	m.eventually("a refusal", func() error { return m.resizeRefused("counter") })
	gate := m.gate()
	before := m.identity("counter")
	node := m.node()
	if err := machine.Kill(whom(node)); err != nil {
		m.T.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(gate, "open"), nil, 0o644); err != nil {
		m.T.Fatal(err)
	}
	m.kubectl("delete", "pod", "doomed", "--wait=false")
	m.kubectl("run", "late", "--image=frankenetes.internal/hello")
	m.kubectl("patch", "configmap", "words", "-p", `{"data":{"word":"second"}}`)

	m.eventually("another node", func() error {
		if now := m.node(); now.Same(node) {
			return fmt.Errorf("process %d still is the node", now.PID)
		}
		return nil
	})
	m.kubectl("wait", "pod/late", "--for=condition=Ready", "--timeout", patience.String())
	m.kubectl("wait", "pod/doomed", "--for=delete", "--timeout", patience.String())
	m.kubectl("wait", "pod/job", "--for=jsonpath={.status.phase}=Failed", "--timeout", patience.String())
	if got := m.kubectl("get", "pod", "job", "-o", "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}"); got != "7" {
		m.T.Errorf("the job ended with %s", got)
	}
	m.eventually("the job's log", func() error { return expect(m.kubectl("logs", "job"), "through\n") })
	m.eventually("the volume follows", func() error {
		return expect(m.kubectl("exec", "counter", "--", "cat", "/words/word"), "second")
	})
	if after := m.identity("counter"); after != before {
		m.T.Errorf("the pod that ran was %s and is %s", before, after)
	}
	if err := m.resizeRefused("counter"); err != nil {
		m.T.Error(err)
	}
	m.counts("counter")
	m.kubectl("delete", "pod", "--all", "--wait=true")
	m.eventually("no group is left", func() error { return expect(strings.Join(m.podGroups(), " "), "") })
	m.kubectl("delete", "configmap", "words")
}

// node returns the first process of the node's container.
func (m *operator) node() machine.Process {
	m.T.Helper()
	var node machine.Process
	m.eventually("a node", func() error {
		for _, p := range m.Traces().Containers(m.T) {
			if strings.Contains(p.Command(), "--node-name=virtual-kubelet") {
				node = p
				return nil
			}
		}
		return fmt.Errorf("there is no such process")
	})
	return node
}

// gate returns the directory in which the pod job waits for a file.
func (m *operator) gate() string {
	m.T.Helper()
	var found []string
	m.eventually("the job waits", func() error {
		found, _ = filepath.Glob(filepath.Join(m.Home, "volumes", "*", "*", "waits"))
		if len(found) != 1 {
			return fmt.Errorf("it has made %q", found)
		}
		return nil
	})
	return filepath.Dir(found[0])
}

// identity is what changes when a pod is started anew.
func (m *operator) identity(pod string) string {
	m.T.Helper()
	return m.kubectl("get", "pod", pod, "-o",
		"jsonpath={.metadata.uid} {.status.podIP} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}")
}

// counts expects that a pod has logged every number from 1 on, and goes on.
func (m *operator) counts(pod string) {
	m.T.Helper()
	read := func() []string { return strings.Fields(m.kubectl("logs", pod)) }
	before := len(read())
	m.eventually("it counts on", func() error {
		if now := len(read()); now <= before {
			return fmt.Errorf("there are %d lines, as before", now)
		}
		return nil
	})
	for i, line := range read() {
		if line != strconv.Itoa(i+1) {
			m.T.Fatalf("line %d of the log of %s is %q", i+1, pod, line)
		}
	}
}

// podGroups are the names of the pods' container groups.
func (m *operator) podGroups() []string {
	m.T.Helper()
	groups, err := m.Connect().ListGroups(m.T.Context(), "frankenetes-pods")
	if err != nil {
		m.T.Fatal(err)
	}
	var names []string
	for _, g := range groups {
		names = append(names, *g.Name)
	}
	return names
}

func expect(got, want string) error {
	if got != want {
		return fmt.Errorf("got %q, want %q", got, want)
	}
	return nil
}

// testQuota takes the room away in which a pod would be, and gives it back. The
// pod says what it waits for, and comes when it can.
func testQuota(m *operator) {
	m.Run("cloud", "start", "--limit", "groups=5") // those of the cluster itself
	m.kubectl("run", "patient", "--image=frankenetes.internal/hello")
	m.eventually("the reason", func() error {
		events := m.kubectl("get", "events", "--field-selector", "involvedObject.name=patient", "-o", "jsonpath={.items[*].message}")
		if !strings.Contains(events, "ContainerGroupQuotaReached") {
			return fmt.Errorf("the pod's events are %q", events)
		}
		return nil
	})
	const state = `jsonpath={.status.phase} {.status.conditions[?(@.type=="PodReadyToStartContainers")].status}`
	if got := m.kubectl("get", "pod", "patient", "-o", state); got != "Pending False" {
		m.T.Errorf("the pod is %s", got)
	}
	m.Run("cloud", "start", "--limit", "none")
	m.kubectl("wait", "pod/patient", "--for=condition=Ready", "--timeout", patience.String())
	m.kubectl("delete", "pod", "patient", "--wait=true")
	m.eventually("no group is left", func() error { return expect(strings.Join(m.podGroups(), " "), "") })
}
