package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"frankenetes.dev/pki"
)

// Start counts the starts of a cluster's etcd. A container group of etcd's that
// is older than the last start, wherever it comes back from, is refused the
// store by the launcher.
type Start struct {
	Number int `json:"number"`
	// Nonce tells apart two that were counted at the same moment.
	Nonce string `json:"nonce"`
}

// etcdMount is where etcd's share is mounted.
const etcdMount = "/etcd"

// putEtcd makes etcd's container group, if none runs. Where there was one, it
// is gone before, and its store is taken from it by the launcher of the new one.
func (s *subject) putEtcd(ctx context.Context) error {
	g, err := s.cloud.GetGroup(ctx, s.name(), Etcd)
	if err != nil {
		return err
	}
	if g != nil && !stands(g) {
		if err := s.cloud.DeleteGroup(ctx, s.name(), Etcd); err != nil {
			return err
		}
	}
	if g == nil || !stands(g) {
		if err := s.countStart(ctx); err != nil {
			return err
		}
	}
	c, err := s.signer.store(s.record, s.storage)
	if err == nil && s.record.Spec.Sleep.After.Duration > 0 {
		err = s.letSleep(ctx, &c)
	}
	_, err = s.put(ctx, c, err)
	return err
}

// letSleep gives etcd's group what it needs to pause the cluster by itself: an
// identity that may do as it likes in the cluster's resource groups. It is
// etcd's, since that is the last group to go.
func (s *subject) letSleep(ctx context.Context, c *component) error {
	location := s.record.Spec.Location
	id, err := s.cloud.PutIdentity(ctx, s.name(), Etcd, location)
	if err != nil {
		return err
	}
	if err := s.putPodsGroup(ctx); err != nil {
		return err
	}
	err = both(
		func() error { return s.cloud.AllowContributor(ctx, id, s.name()) },
		func() error { return s.cloud.AllowContributor(ctx, id, podsGroup(s.name())) })
	if err != nil {
		return err
	}
	conf, err := json.Marshal(s.cloud.Config.ForGroup(id.ClientID))
	if err != nil {
		return fmt.Errorf("encode cloud configuration of etcd's group: %w", err)
	}
	c.identity = &id
	c.secrets["cloud.json"] = conf
	i := slices.Index(c.command, "--")
	c.command = slices.Insert(c.command, i, arg("cluster", s.name()), arg("cloud-config", secret("cloud.json")))
	return nil
}

// countStart writes into the record that etcd is started once more.
func (s *subject) countStart(ctx context.Context) error {
	s.record.Start.Number++
	s.record.Start.Nonce = strings.ToLower(rand.Text()[:8])
	return s.record.save(ctx, s.cloud, s.storage)
}

// store is etcd. Its data is on a share; everything else can be made anew.
func (s *signer) store(r *Record, st storage) (component, error) {
	fqdn := s.fqdn(Etcd)
	share, err := json.Marshal(s.conf.ShareForGroup(st.account, st.key, st.files, etcdShare))
	if err != nil {
		return component{}, fmt.Errorf("encode configuration of etcd's share: %w", err)
	}
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
		command: []string{"/usr/local/bin/etcd-launcher",
			arg("share", etcdMount),
			arg("share-config", secret("share.json")),
			arg("start", strconv.Itoa(r.Start.Number)),
			arg("nonce", r.Start.Nonce),
			arg("initialized", strconv.FormatBool(r.Initialized)),
			arg("snapshot-every", r.Spec.Snapshots.Every.Duration.String()),
			arg("snapshot-keep", strconv.Itoa(max(r.Spec.Snapshots.Keep, 1))),
			arg("endpoint", "https://localhost:2379"),
			arg("cacert", secret("ca.crt")),
			arg("cert", secret("server.crt")),
			arg("key", secret("server.key")),
			"--", "/usr/local/bin/etcd",
			arg("name", s.spec.Name),
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
		share: etcdShare, sharePath: etcdMount,
		secrets: map[string][]byte{
			"ca.crt": s.etcd.CertPEM(), "server.crt": server.Cert, "server.key": server.Key,
			"share.json": share,
		},
	}, nil
}
