package cluster

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"frankenetes.dev/cloud"
	"frankenetes.dev/fault"
)

func TestHowManyNodesThereCanBe(t *testing.T) {
	for n, good := range map[int]bool{1: true, 2: true, MaxNodes: true, 0: false, -1: false, MaxNodes + 1: false} {
		err := CheckNodes(n)
		if (err == nil) != good || err != nil && (fault.KindOf(err) != fault.Usage || fault.HintOf(err) == "") {
			t.Errorf("%d nodes: %v, hint %q", n, err, fault.HintOf(err))
		}
	}
	for _, n := range []int{-1, MaxNodes + 1} { // 0 leaves the choice to us
		f := &fakeCloud{}
		if _, err := NewOperator(f.connect(t), silent{}).Up(t.Context(), UpOptions{Name: "demo", Nodes: n}); fault.KindOf(err) != fault.Usage || f.changes != 0 {
			t.Errorf("up with %d nodes: %v, and %d changes", n, err, f.changes)
		}
	}
}

func TestARecordOfBeforeThereWereSeveralNodesHasOne(t *testing.T) {
	for record, want := range map[string][]string{
		`{"name":"demo"}`:           {"virtual-kubelet"},
		`{"name":"demo","nodes":1}`: {"virtual-kubelet"},
		`{"name":"demo","nodes":3}`: {"virtual-kubelet", "virtual-kubelet-2", "virtual-kubelet-3"},
	} {
		var s Spec
		if err := json.Unmarshal([]byte(record), &s); err != nil {
			t.Fatal(err)
		}
		if got := s.nodes(); !slices.Equal(got, want) {
			t.Errorf("%s: nodes %q, want %q", record, got, want)
		}
		if got := s.components(); !slices.Equal(got, append([]string{Etcd, APIServer, ControllerManager, Scheduler}, want...)) {
			t.Errorf("%s: components %q", record, got)
		}
	}
}

func TestNamesOfNodes(t *testing.T) {
	label := regexp.MustCompile(`^[a-z][-a-z0-9]{1,61}[a-z0-9]$`)
	longest := Spec{Name: "a" + strings.Repeat("b", maxName-1), ID: "0f0f0f", Nodes: MaxNodes}
	for _, name := range longest.nodes() {
		if !isNode(name) || !label.MatchString(longest.label(name)) {
			t.Errorf("%q, with the DNS label %q", name, longest.label(name))
		}
	}
	for _, name := range []string{"virtual-kubelet-1", "virtual-kubelet-0", "virtual-kubelet-10", "virtual-kubelet-", "virtual-kubelet-02", "etcd", ""} {
		if isNode(name) {
			t.Errorf("%q is a node", name)
		}
	}
}

func TestEveryNodeIsItselfAndNoOther(t *testing.T) {
	s, _ := newTestSigner(t)
	for _, name := range []string{nodeName(1), nodeName(2)} {
		c, err := s.node(name, cloud.Identity{ID: "/id", ClientID: "client"}, "")
		if err != nil {
			t.Fatal(err)
		}
		if c.name != name || !slices.Contains(c.command, "--node-name="+name) || !slices.Contains(c.command, "--agent-address="+s.fqdn(name)+":10300") {
			t.Errorf("%s: %s, %q", name, c.name, c.command)
		}
		server := leafOf(t, c.secrets["server.crt"])
		for _, other := range []string{nodeName(1), nodeName(2)} {
			if err := server.VerifyHostname(s.fqdn(other)); (err == nil) != (other == name) {
				t.Errorf("the certificate of %s, at the name of %s: %v", name, other, err)
			}
		}
	}
}
