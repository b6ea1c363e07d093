package e2e

import (
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// node is what the tests look at of a Node.
type node struct {
	Metadata struct {
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Spec struct {
		Taints []any `json:"taints"`
	} `json:"spec"`
	Status struct {
		Capacity    map[string]resource.Quantity `json:"capacity"`
		Allocatable map[string]resource.Quantity `json:"allocatable"`
		Conditions  []struct{ Type, Status string }
		NodeInfo    struct{ KubeletVersion, ContainerRuntimeVersion, OSImage string }
	} `json:"status"`
}

// testNode checks that what the node says of itself is so: a pod that asks for
// all of it runs.
func testNode(m *operator) {
	var n node
	m.get(&n, "node", "virtual-kubelet")
	for what, want := range map[string]struct{ capacity, allocatable string }{
		"cpu": {"4", "3990m"}, "memory": {"16G", "15900M"}, "pods": {"30", "30"},
	} {
		capacity, allocatable := n.Status.Capacity[what], n.Status.Allocatable[what]
		if capacity.Cmp(resource.MustParse(want.capacity)) != 0 || allocatable.Cmp(resource.MustParse(want.allocatable)) != 0 {
			m.T.Errorf("%s: capacity %s, allocatable %s; want %s, %s", what, &capacity, &allocatable, want.capacity, want.allocatable)
		}
	}
	for label, want := range map[string]string{
		"kubernetes.io/hostname": "virtual-kubelet", "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
		"node.kubernetes.io/instance-type": "container-groups", "topology.kubernetes.io/region": m.Config().Location,
	} {
		if got := n.Metadata.Labels[label]; got != want {
			m.T.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	for _, c := range n.Status.Conditions {
		if (c.Status == "True") != (c.Type == "Ready") {
			m.T.Errorf("condition %s is %s", c.Type, c.Status)
		}
	}
	if len(n.Spec.Taints) > 0 {
		m.T.Errorf("taints: %v", n.Spec.Taints)
	}
	var versions struct {
		ClientVersion, ServerVersion struct{ GitVersion, Major, Minor string }
	}
	if err := json.Unmarshal([]byte(m.kubectl("version", "-o", "json")), &versions); err != nil {
		m.T.Fatal(err)
	}
	for what, v := range map[string]struct{ GitVersion, Major, Minor string }{"kubectl": versions.ClientVersion, "API server": versions.ServerVersion} {
		if v.GitVersion != n.Status.NodeInfo.KubeletVersion || !strings.HasPrefix(v.GitVersion, "v"+v.Major+"."+v.Minor+".") {
			m.T.Errorf("%s: %+v, the kubelet says %s", what, v, n.Status.NodeInfo.KubeletVersion)
		}
	}
	testLargestPod(m, n)
}

func testLargestPod(m *operator, n node) {
	cpu, memory := n.Status.Allocatable["cpu"], n.Status.Allocatable["memory"]
	m.kubectlWith(strings.NewReader(fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"large"},"spec":{
		"terminationGracePeriodSeconds":0,"containers":[{"name":"main","image":"frankenetes.internal/pause:1",
		"resources":{"requests":{"cpu":%q,"memory":%q}}}]}}`, cpu.String(), memory.String())), "create", "-f", "-")
	m.kubectl("wait", "pod/large", "--for=condition=Ready", "--timeout", patience.String())
	m.kubectl("delete", "pod", "large", "--wait=true")
}
