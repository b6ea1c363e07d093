package cluster

import (
	"net"
	"strconv"

	"frankenetes.dev/pki"
)

// store is etcd. Its data is on a share; everything else can be made anew.
func (s *signer) store() (component, error) {
	fqdn := s.fqdn(Etcd)
	// One leaf serves clients and the (only) peer: etcd itself.
	server, err := s.etcd.Issue(pki.Leaf{
		CommonName: Etcd, DNSNames: []string{fqdn, "localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)},
		Server: true, Client: true,
	})
	if err != nil {
		return component{}, err
	}
	return component{
		name: Etcd,
		command: []string{"/usr/local/bin/etcd",
			arg("name", s.spec.Name),
			arg("data-dir", "/etcd/data"),
			arg("listen-client-urls", "https://0.0.0.0:2379"),
			arg("advertise-client-urls", "https://"+fqdn+":2379"),
			// The only peer is etcd itself.
			arg("listen-peer-urls", "https://127.0.0.1:2380"),
			arg("initial-advertise-peer-urls", "https://localhost:2380"),
			arg("initial-cluster", s.spec.Name+"=https://localhost:2380"),
			arg("client-cert-auth", "true"),
			arg("peer-client-cert-auth", "true"),
			arg("trusted-ca-file", secret("ca.crt")),
			arg("cert-file", secret("server.crt")),
			arg("key-file", secret("server.key")),
			arg("peer-trusted-ca-file", secret("ca.crt")),
			arg("peer-cert-file", secret("server.crt")),
			arg("peer-key-file", secret("server.key")),
			// At every start, the only member waits up to a whole election
			// timeout before it elects itself, and there is no other to
			// take over when the share stalls.
			arg("heartbeat-interval", "50"),
			arg("election-timeout", "250"),
			arg("quota-backend-bytes", strconv.Itoa(4<<30)),
			arg("logger", "zap"),
			arg("log-level", "warn"),
		},
		ports: []int32{2379}, cpu: 1, memory: 1.5,
		share: etcdShare, sharePath: "/etcd",
		secrets: map[string][]byte{
			"ca.crt": s.etcd.CertPEM(), "server.crt": server.Cert, "server.key": server.Key,
		},
	}, nil
}
