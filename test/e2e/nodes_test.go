package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"frankenetes.dev/test/machine"
)

// TestNodes is the life of a cluster that has more than one node.
func TestNodes(t *testing.T) {
	m := newOperator(t)
	m.expect(2, "cannot have 0 nodes", "up", "--nodes", "0")
	m.Run("up", "--nodes", "2")
	marks := m.Traces()

	m.part("two nodes, and status knows them", func(m *operator) { expectNodes(m, "virtual-kubelet", "virtual-kubelet-2") })
	m.part("a pod on each", testPodOnEach)
	m.part("certificates that nodes ask for", testServing)
	m.part("pause and resume", func(m *operator) {
		m.Run("pause")
		machine.ExpectNothing(m.T, "after pause", marks.Groups(m.T))
		m.Run("resume")
		expectNodes(m, "virtual-kubelet", "virtual-kubelet-2")
		podOnEach(m)
		// Their addresses are others now.
		testServing(m)
	})
	m.part("a node that is missing", testMissingNode)
	m.part("a node that was to leave is taken back", testTakenBack)
	m.part("one node less", testShrink)
	m.part("more and less while it is paused", testResizePaused)
	m.Run("down", "--yes")
	machine.ExpectNothing(t, "after down", marks.Groups(t))
}

// expectNodes checks that a cluster has these nodes and no others, all Ready,
// and a container group for each.
func expectNodes(m *operator, want ...string) {
	m.T.Helper()
	if got := strings.Fields(m.kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}")); !slices.Equal(got, want) {
		m.T.Errorf("nodes: %q, want %q", got, want)
	}
	var status struct {
		State      string
		Ready      bool
		Components []struct{ Name, State string }
	}
	if err := json.Unmarshal([]byte(m.Run("status", "-o", "json")), &status); err != nil {
		m.T.Fatal(err)
	}
	var components []string
	for _, c := range status.Components {
		if c.State != "Running" {
			m.T.Errorf("%s is %s", c.Name, c.State)
		}
		components = append(components, c.Name)
	}
	all := append([]string{"etcd", "apiserver", "controllermanager", "scheduler"}, want...)
	if status.State != "Running" || !status.Ready || !slices.Equal(components, all) {
		m.T.Errorf("status: %+v, want components %q", status, all)
	}
	groups, err := m.Connect().ListGroups(context.Background(), "frankenetes")
	if err != nil || len(groups) != len(all) {
		m.T.Errorf("%d container groups, want %d: %v", len(groups), len(all), err)
	}
}

// placed returns the nodes of the ready pods with a label, in order.
func placed(m *operator, label string) []string {
	m.T.Helper()
	out := m.kubectl("get", "pods", "-l", label, "-o",
		`jsonpath={range .items[*]}{.spec.nodeName}{" "}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
	var nodes []string
	for line := range strings.Lines(out) {
		if node, ok := strings.CutSuffix(strings.TrimSpace(line), " True"); ok {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return nodes
}

func expectPlaced(m *operator, label string, want ...string) {
	m.T.Helper()
	m.eventually("pods "+label, func() error {
		if got := placed(m, label); !slices.Equal(got, want) {
			return fmt.Errorf("ready on %q, want %q", got, want)
		}
		return nil
	})
}

func testPodOnEach(m *operator) {
	m.apply("nodes.yaml")
	podOnEach(m)
	// Each node's kubelet and agents answer, by its own name.
	for _, node := range []string{"virtual-kubelet", "virtual-kubelet-2"} {
		name := strings.TrimSpace(m.kubectl("get", "pods", "-l", "app=everywhere", "--field-selector", "spec.nodeName="+node, "-o", "name"))
		if got := m.kubectl("exec", name, "--", "sh", "-c", "echo $NODE"); got != node+"\n" {
			m.T.Errorf("exec in %s of node %s: %q", name, node, got)
		}
		if got := m.kubectl("logs", name); got != "on "+node+"\n" {
			m.T.Errorf("log of %s of node %s: %q", name, node, got)
		}
	}
	if out := m.Run("logs", "virtual-kubelet-2", "--tail", "1"); strings.Count(out, "\n") != 1 {
		m.T.Errorf("a line of the second node's log: %q", out)
	}
	m.expect(3, "no component virtual-kubelet-3", "logs", "virtual-kubelet-3")
}

func podOnEach(m *operator) {
	m.T.Helper()
	for _, label := range []string{"app=spread", "app=everywhere"} {
		expectPlaced(m, label, "virtual-kubelet", "virtual-kubelet-2")
	}
}

// testMissingNode deletes the second node's group. It is missed, and up makes
// another.
func testMissingNode(m *operator) {
	if err := m.Connect().DeleteGroup(m.T.Context(), "frankenetes", "virtual-kubelet-2"); err != nil {
		m.T.Fatal(err)
	}
	for _, args := range [][]string{{"list", "-o", "json"}, {"status", "-o", "json"}} {
		if out := m.Run(args...); !strings.Contains(out, `"state":"Partial"`) {
			m.T.Errorf("%s: %s", args[0], out)
		}
	}
	m.Run("up")
	if out := m.Run("list", "-o", "json"); !strings.Contains(out, `"state":"Running"`) {
		m.T.Errorf("list: %s", out)
	}
	expectNodes(m, "virtual-kubelet", "virtual-kubelet-2")
	podOnEach(m)
}

// testTakenBack interrupts a node's leaving while a budget holds it up, and has
// it stay.
func testTakenBack(m *operator) {
	budget := func(min string) {
		m.T.Helper()
		m.kubectl("patch", "poddisruptionbudget", "spread", "--type=merge", "-p", `{"spec":{"minAvailable":`+min+`}}`)
	}
	taints := func() string {
		return m.kubectl("get", "node", "virtual-kubelet-2", "-o", "jsonpath={.spec.taints[*].key}")
	}
	before := m.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}")
	budget("2")
	shrink := m.after("Access", "up", "--nodes", "1")
	m.eventually("it leaves", func() error {
		if got := taints(); got != "frankenetes.dev/leaving" {
			return fmt.Errorf("taints %q", got)
		}
		return nil
	})
	if err := shrink.Process.Signal(os.Interrupt); err != nil {
		m.T.Fatal(err)
	}
	_ = shrink.Wait()
	if code := shrink.ProcessState.ExitCode(); code != 130 {
		m.T.Errorf("it ended with %d, want 130", code)
	}
	m.Run("up", "--nodes", "2")
	if got := taints(); got != "" {
		m.T.Errorf("taints %q", got)
	}
	budget("1")
	expectNodes(m, "virtual-kubelet", "virtual-kubelet-2")
	if after := m.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}"); after != before {
		m.T.Errorf("pods before: %s\nafter: %s", before, after)
	}
}

// testShrink takes the second node out: what can go elsewhere does, nothing of
// the node stays, and the first keeps its pods.
func testShrink(m *operator) {
	log := m.converse("logs", "-f", strings.TrimSpace(m.kubectl("get", "pods", "-l", "app=everywhere", "--field-selector", "spec.nodeName=virtual-kubelet-2", "-o", "name")))
	log.line() // it follows
	kept := m.kubectl("get", "pods", "--field-selector", "spec.nodeName=virtual-kubelet", "-o", "jsonpath={.items[*].metadata.uid}")
	m.Run("up", "--nodes", "1")
	if said := log.rest(); !strings.Contains(said, "told to end\n") {
		m.T.Errorf("a DaemonSet's pod of the node that left said %q in the end", said)
	}
	expectNodes(m, "virtual-kubelet")
	expectPlaced(m, "app=spread", "virtual-kubelet", "virtual-kubelet")
	expectPlaced(m, "app=everywhere", "virtual-kubelet")
	now := m.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}")
	for _, uid := range strings.Fields(kept) {
		if !strings.Contains(now, uid) {
			m.T.Errorf("pod %s of the first node has gone", uid)
		}
	}
	if got := m.kubectl("get", "pods", "-A", "--field-selector", "spec.nodeName=virtual-kubelet-2", "-o", "name"); got != "" {
		m.T.Errorf("pods of the node that is gone: %q", got)
	}
	groups, err := m.Connect().ListGroups(context.Background(), "frankenetes-pods")
	if err != nil {
		m.T.Fatal(err)
	}
	for _, g := range groups {
		if node := *g.Tags["frankenetes-node"]; node != "virtual-kubelet" {
			m.T.Errorf("container group %s of node %s is left", *g.Name, node)
		}
	}
	// Without the flag it stays as it is.
	m.Run("up")
	expectNodes(m, "virtual-kubelet")
}

func testResizePaused(m *operator) {
	m.Run("pause")
	m.Run("up", "--nodes", "2")
	expectNodes(m, "virtual-kubelet", "virtual-kubelet-2")
	expectPlaced(m, "app=everywhere", "virtual-kubelet", "virtual-kubelet-2")
	m.Run("pause")
	m.Run("up", "--nodes", "1")
	expectNodes(m, "virtual-kubelet")
	expectPlaced(m, "app=everywhere", "virtual-kubelet")
	expectPlaced(m, "app=spread", "virtual-kubelet", "virtual-kubelet")
}
