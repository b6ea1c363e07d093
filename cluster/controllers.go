package cluster

import (
	"encoding/json"
	"fmt"
)

// servingApprover is who approves the serving certificates that nodes ask for.
const servingApprover = "frankenetes:serving-approver"

// controllerManager runs Kubernetes' control loops, and beside them the approver
// of the nodes' serving certificates.
func (s *signer) controllerManager(r *Record) (component, error) {
	c, err := s.controller(ControllerManager, "kube-controller-manager", "system:kube-controller-manager")
	if err != nil {
		return c, err
	}
	c.command = append(c.command,
		arg("cluster-name", s.spec.Name),
		arg("use-service-account-credentials", "true"),
		arg("service-account-private-key-file", secret("service-accounts.key")),
		arg("root-ca-file", secret("ca.crt")),
		arg("cluster-signing-cert-file", secret("ca.crt")),
		arg("cluster-signing-key-file", secret("ca.key")),
		arg("service-cluster-ip-range", serviceRange),
		arg("allocate-node-cidrs", "false"),
		// Each of some forty controllers asks for an account and a token of
		// its own before it starts; the default of 20 a second makes that 5 s.
		arg("kube-api-qps", "100"),
		arg("kube-api-burst", "200"),
	)
	c.command = append([]string{"/usr/local/bin/hyperkube", "controllers",
		arg("approver-kubeconfig", secret("approver.kubeconfig")),
		arg("serving-names", secret("serving-names.json")), "--"}, c.command[1:]...)
	if c.secrets["approver.kubeconfig"], err = s.kubeconfig(servingApprover); err != nil {
		return c, err
	}
	// Also of the nodes that there are not yet: this is not started anew for them.
	names := map[string]string{}
	for n := 1; n <= MaxNodes; n++ {
		names[nodeName(n)] = s.fqdn(nodeName(n))
	}
	if c.secrets["serving-names.json"], err = json.Marshal(names); err != nil {
		return c, fmt.Errorf("encode names of nodes: %w", err)
	}
	c.secrets["ca.key"] = r.Authorities.Cluster.Key
	c.secrets["service-accounts.key"] = r.Authorities.ServiceAccounts
	return c, nil
}

// scheduler assigns pods to nodes.
func (s *signer) scheduler() (component, error) {
	return s.controller(Scheduler, "kube-scheduler", "system:kube-scheduler")
}

// controller is what the two have in common: they speak to the API server
// with a certificate of their own and elect a leader, so that two of them, for
// whatever reason they came to be, never work at once.
func (s *signer) controller(name, program, user string) (component, error) {
	kubeconfig, err := s.kubeconfig(user)
	if err != nil {
		return component{}, err
	}
	server, err := s.server(name)
	if err != nil {
		return component{}, err
	}
	return component{
		name: name,
		command: []string{"/usr/local/bin/" + program,
			arg("kubeconfig", secret("kubeconfig")),
			arg("authentication-kubeconfig", secret("kubeconfig")),
			arg("authorization-kubeconfig", secret("kubeconfig")),
			arg("client-ca-file", secret("ca.crt")),
			// Said here, it need not be asked of an API server that may still
			// be on its way up.
			arg("requestheader-client-ca-file", secret("front-proxy-ca.crt")),
			arg("tls-cert-file", secret("server.crt")),
			arg("tls-private-key-file", secret("server.key")),
			arg("leader-elect", "true"),
			arg("profiling", "false"),
		},
		cpu: 1, memory: 1,
		secrets: map[string][]byte{
			"kubeconfig": kubeconfig, "ca.crt": s.cluster.CertPEM(),
			"front-proxy-ca.crt": s.frontProxy.CertPEM(),
			"server.crt":         server.Cert, "server.key": server.Key,
		},
	}, nil
}
