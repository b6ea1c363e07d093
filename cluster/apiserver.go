package cluster

import (
	"fmt"
	"net"

	"frankenetes.dev/pki"
)

// authentication lets nobody in without a certificate or token, but for the
// health endpoints, which tell nothing.
const authentication = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
  - path: /healthz
`

// auditPolicy records who did what, never what was in it.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
  userGroups: ["system:nodes", "system:serviceaccounts"]
- level: None
  users: ["system:kube-controller-manager", "system:kube-scheduler", "system:apiserver"]
  verbs: [get, list, watch, update, patch]
  resources:
  - group: coordination.k8s.io
    resources: [leases]
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*"]
- level: Metadata
`

// encryptionFormat encrypts Secrets in etcd; the second provider reads what
// was written before there was a key.
const encryptionFormat = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox:
      keys:
      - name: key1
        secret: %s
  - identity: {}
`

// apiserver is the API server.
func (s *signer) apiserver(r *Record, publish string) (component, error) {
	secrets, err := s.apiserverSecrets(r)
	if err != nil {
		return component{}, err
	}
	return component{
		name: APIServer, command: s.apiserverCommand(),
		ports: []int32{6443}, cpu: 2, memory: 2,
		share: apiserverShare, sharePath: "/apiserverdata",
		secrets: secrets, publish: publish,
	}, nil
}

func (s *signer) apiserverCommand() []string {
	return append(s.after(Etcd, "2379", "kube-apiserver"),
		arg("bind-address", "0.0.0.0"),
		arg("secure-port", "6443"),
		arg("tls-cert-file", secret("server.crt")),
		arg("tls-private-key-file", secret("server.key")),
		arg("tls-min-version", "VersionTLS12"),
		arg("client-ca-file", secret("ca.crt")),
		arg("authentication-config", secret("authentication.yaml")),
		arg("authorization-mode", "Node,RBAC"),
		arg("enable-admission-plugins", "NodeRestriction"),
		arg("allow-privileged", "true"),
		arg("profiling", "false"),

		arg("etcd-servers", "https://"+s.fqdn(Etcd)+":2379"),
		arg("etcd-cafile", secret("etcd-ca.crt")),
		arg("etcd-certfile", secret("etcd.crt")),
		arg("etcd-keyfile", secret("etcd.key")),
		arg("encryption-provider-config", secret("encryption.yaml")),

		arg("service-cluster-ip-range", serviceRange),
		arg("service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
		arg("service-account-signing-key-file", secret("service-accounts.key")),
		arg("service-account-key-file", secret("service-accounts.key")),

		// The node is known by its name in the cloud's DNS: addresses change.
		arg("kubelet-preferred-address-types", "Hostname,InternalIP"),
		arg("kubelet-certificate-authority", secret("ca.crt")),
		arg("kubelet-client-certificate", secret("kubelet.crt")),
		arg("kubelet-client-key", secret("kubelet.key")),

		// Webhooks and aggregated servers are reached at their pods' addresses.
		arg("enable-aggregator-routing", "true"),
		arg("requestheader-client-ca-file", secret("front-proxy-ca.crt")),
		arg("requestheader-allowed-names", "front-proxy-client"),
		arg("requestheader-username-headers", "X-Remote-User"),
		arg("requestheader-group-headers", "X-Remote-Group"),
		arg("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
		arg("proxy-client-cert-file", secret("front-proxy.crt")),
		arg("proxy-client-key-file", secret("front-proxy.key")),

		arg("audit-policy-file", secret("audit.yaml")),
		arg("audit-log-path", "/apiserverdata/log/audit.log"),
		arg("audit-log-maxage", "30"),
		arg("audit-log-maxbackup", "3"),
		arg("audit-log-maxsize", "100"),
	)
}

// kubeletClient is who the API server is to kubelets; bootstrap binds it to
// the role that it needs.
const kubeletClient = "frankenetes:apiserver-kubelet-client"

func (s *signer) apiserverSecrets(r *Record) (map[string][]byte, error) {
	files := map[string][]byte{
		"ca.crt":               s.cluster.CertPEM(),
		"etcd-ca.crt":          s.etcd.CertPEM(),
		"front-proxy-ca.crt":   s.frontProxy.CertPEM(),
		"service-accounts.key": r.Authorities.ServiceAccounts,
		"authentication.yaml":  []byte(authentication),
		"audit.yaml":           []byte(auditPolicy),
		"encryption.yaml":      fmt.Appendf(nil, encryptionFormat, r.Authorities.Encryption),
	}
	leaves := map[string]struct {
		by   *pki.Authority
		leaf pki.Leaf
	}{
		"server": {s.cluster, pki.Leaf{CommonName: "kube-apiserver", Server: true,
			DNSNames: []string{s.fqdn(APIServer), "localhost", "kubernetes", "kubernetes.default",
				"kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
			IPs: []net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(serviceIP)}}},
		"etcd":        {s.etcd, pki.Leaf{CommonName: "kube-apiserver-etcd-client", Client: true}},
		"kubelet":     {s.cluster, pki.Leaf{CommonName: kubeletClient, Client: true}},
		"front-proxy": {s.frontProxy, pki.Leaf{CommonName: "front-proxy-client", Client: true}},
	}
	for name, l := range leaves {
		pair, err := l.by.Issue(l.leaf)
		if err != nil {
			return nil, err
		}
		files[name+".crt"], files[name+".key"] = pair.Cert, pair.Key
	}
	return files, nil
}
