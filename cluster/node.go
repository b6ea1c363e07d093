package cluster

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"

	"frankenetes.dev/cloud"
)

// nodeName is what the one node is called, as in the posts.
const nodeName = VirtualKubelet

// The node's ports: the kubelet's API, and where agents dial home.
const (
	kubeletPort = 10250
	agentPort   = 10300
)

// node is the kubelet whose container runtime is the cloud. To Kubernetes it
// is a node and no more; in the cloud it may do as it likes in the pods'
// resource group, and nowhere else. Pods are in the subnet, unless it is empty.
func (s *signer) node(identity cloud.Identity, subnet string) (component, error) {
	secrets, err := s.nodeSecrets(identity)
	if err != nil {
		return component{}, err
	}
	return component{
		name: VirtualKubelet,
		command: append(s.after(APIServer, "6443", "virtual-kubelet"),
			arg("node-name", nodeName),
			arg("hostname", s.fqdn(VirtualKubelet)),
			arg("kubeconfig", secret("kubeconfig")),
			arg("tls-cert-file", secret("server.crt")),
			arg("tls-private-key-file", secret("server.key")),
			arg("client-ca-file", secret("ca.crt")),
			arg("agent-ca-file", secret("agents.crt")),
			arg("agent-ca-key-file", secret("agents.key")),
			arg("agent-address", net.JoinHostPort(s.fqdn(VirtualKubelet), strconv.Itoa(agentPort))),
			arg("agent-image", s.spec.AgentImage),
			arg("cloud-config", secret("cloud.json")),
			arg("resource-group", podsGroup(s.spec.Name)),
			arg("location", s.spec.Location),
			arg("subnet", subnet),
		),
		ports: []int32{kubeletPort, agentPort}, cpu: 1, memory: 1.5,
		// By what it keeps there, a kubelet that was restarted knows its pods.
		scratch: "/var/lib/kubelet",
		secrets: secrets, identity: &identity,
	}, nil
}

func (s *signer) nodeSecrets(identity cloud.Identity) (map[string][]byte, error) {
	kubeconfig, err := s.kubeconfig("system:node:"+nodeName, "system:nodes")
	if err != nil {
		return nil, err
	}
	server, err := s.server(VirtualKubelet)
	if err != nil {
		return nil, err
	}
	conf, err := json.Marshal(s.conf.ForGroup(identity.ClientID))
	if err != nil {
		return nil, fmt.Errorf("encode cloud configuration of the node: %w", err)
	}
	agents := s.agents.Pair()
	return map[string][]byte{
		"kubeconfig": kubeconfig, "ca.crt": s.cluster.CertPEM(),
		"server.crt": server.Cert, "server.key": server.Key,
		"agents.crt": agents.Cert, "agents.key": agents.Key,
		"cloud.json": conf,
	}, nil
}
