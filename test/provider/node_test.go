package baremetal

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"time"

	"frankenetes.dev/pki"
)

// bareNode is a node on the bed's runtime.
type bareNode struct {
	*plane
	node     *program
	kubelet  int
	agents   int
	nodeArgs []string
	// pinned is an image of a registry that wants a password, by digest.
	pinned string
}

// part is one of the story of the node.
func (n *bareNode) part(name string, fn func(n *bareNode)) {
	n.t.Helper()
	n.bed.part(name, func(*bed) { fn(n) })
}

const nodeName = "baremetal"

// prepare writes the node's certificates, and its command line.
func (n *bareNode) prepare() {
	n.kubelet, n.agents = n.freePort(), n.freePort()
	n.issue("node", pki.Leaf{CommonName: "node", DNSNames: []string{"localhost"}, IPs: []net.IP{n.gateway}, Server: true})
	agents, err := pki.NewAuthority("agents")
	if err != nil {
		n.t.Fatal(err)
	}
	n.file("agents.crt", agents.Pair().Cert)
	n.file("agents.key", agents.Pair().Key)
	n.nodeArgs = []string{"--provider=cri", "--cri-socket=" + n.socket, "--runtime-handler=runc",
		"--node-name=" + nodeName, "--hostname=localhost", "--node-ip=" + n.gateway.String(),
		"--kubeconfig=" + n.kubeconfig("system:node:"+nodeName, "system:nodes"),
		"--tls-cert-file=" + n.path("node.crt"), "--tls-private-key-file=" + n.path("node.key"), "--client-ca-file=" + n.path("ca.crt"),
		"--agent-ca-file=" + n.path("agents.crt"), "--agent-ca-key-file=" + n.path("agents.key"), "--agent-image=" + agentImage,
		"--agent-address=" + n.at(n.agents), "--agent-port=" + strconv.Itoa(n.agents), "--port=" + strconv.Itoa(n.kubelet),
		"--root-dir=" + n.path("kubelet"), "--cpu=2", "--memory=4Gi"}
}

// start starts the node, and returns when it is ready.
func (n *bareNode) start() {
	n.t.Helper()
	since := time.Now().Add(-time.Second) // the API server's clock has whole seconds
	n.node = n.run("virtual-kubelet", n.nodeArgs...)
	n.eventually("the node is ready", func() error {
		if err := n.node.over(); err != nil {
			n.t.Fatal(err)
		}
		var node struct {
			Status struct {
				Conditions []struct {
					Type, Status      string
					LastHeartbeatTime time.Time
				}
			}
		}
		out, _, err := n.try(nil, "get", "node", nodeName, "-o", "json")
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(out), &node); err != nil {
			return err
		}
		for _, c := range node.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" && c.LastHeartbeatTime.After(since) {
				return nil
			}
		}
		return fmt.Errorf("conditions %+v", node.Status.Conditions)
	})
}
