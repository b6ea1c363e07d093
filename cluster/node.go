package cluster

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"

	"frankenetes.dev/cloud"
)

// A node's ports: the kubelet's API, and where agents dial home.
const (
	kubeletPort = 10250
	agentPort   = 10300
)

// node is a kubelet whose container runtime is the cloud. To Kubernetes it
// is a node and no more; in the cloud it may do as it likes in the pods'
// resource group, and nowhere else. Pods are in the subnet, unless it is empty.
func (s *signer) node(name string, identity cloud.Identity, subnet string) (component, error) {
	secrets, err := s.nodeSecrets(name, identity)
	if err != nil {
		return component{}, err
	}
	return component{
		name: name,
		command: append(s.after(APIServer, "6443", "virtual-kubelet"),
			arg("node-name", name),
			arg("hostname", s.fqdn(name)),
			arg("kubeconfig", secret("kubeconfig")),
			arg("tls-cert-file", secret("server.crt")),
			arg("tls-private-key-file", secret("server.key")),
			arg("client-ca-file", secret("ca.crt")),
			arg("agent-ca-file", secret("agents.crt")),
			arg("agent-ca-key-file", secret("agents.key")),
			arg("agent-address", net.JoinHostPort(s.fqdn(name), strconv.Itoa(agentPort))),
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

func (s *signer) nodeSecrets(name string, identity cloud.Identity) (map[string][]byte, error) {
	kubeconfig, err := s.kubeconfig("system:node:"+name, "system:nodes")
	if err != nil {
		return nil, err
	}
	server, err := s.server(name)
	if err != nil {
		return nil, err
	}
	conf, err := json.Marshal(s.conf.ForGroup(identity.ClientID))
	if err != nil {
		return nil, fmt.Errorf("encode cloud configuration of node %s: %w", name, err)
	}
	agents := s.agents.Pair()
	return map[string][]byte{
		"kubeconfig": kubeconfig, "ca.crt": s.cluster.CertPEM(),
		"server.crt": server.Cert, "server.key": server.Key,
		"agents.crt": agents.Cert, "agents.key": agents.Key,
		"cloud.json": conf,
	}, nil
}
