package cluster

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"frankenetes.dev/cloud"
	"frankenetes.dev/fault"
	"frankenetes.dev/pki"
)

// The shares of a cluster, and the file that holds its record.
const (
	recordShare    = "cluster"
	etcdShare      = "etcd"
	apiserverShare = "apiserver"
	recordFile     = "cluster.json"
)

// Record is everything that makes a cluster the same cluster after a pause,
// but for what is in etcd. It is secret.
type Record struct {
	Spec        Spec        `json:"spec"`
	Authorities Authorities `json:"authorities"`
	// Start is etcd's last one.
	Start Start `json:"start"`
	// Initialized is set once the API server has been ready: from then on, a
	// share without etcd's data is a loss, not a beginning.
	Initialized bool `json:"initialized,omitempty"`
}

// Authorities are the keys of a cluster.
type Authorities struct {
	// Cluster signs components, users and the kubelet; Etcd and FrontProxy
	// keep those two circles apart from it; Agents signs the agents of pods.
	Cluster    pki.Pair `json:"cluster"`
	Etcd       pki.Pair `json:"etcd"`
	FrontProxy pki.Pair `json:"frontProxy"`
	Agents     pki.Pair `json:"agents"`
	// ServiceAccounts signs the tokens of service accounts.
	ServiceAccounts []byte `json:"serviceAccounts"`
	// Encryption encrypts Secrets in etcd: 32 bytes, base64.
	Encryption string `json:"encryption"`
}

// newAuthorities makes every key of a new cluster.
func newAuthorities(name string) (Authorities, error) {
	var a Authorities
	for title, pair := range map[string]*pki.Pair{
		"cluster": &a.Cluster, "etcd": &a.Etcd, "front proxy": &a.FrontProxy, "agents": &a.Agents,
	} {
		authority, err := pki.NewAuthority("frankenetes " + name + " " + title)
		if err != nil {
			return a, err
		}
		*pair = authority.Pair()
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return a, fmt.Errorf("make encryption key: %w", err)
	}
	a.Encryption = base64.StdEncoding.EncodeToString(key)
	var err error
	a.ServiceAccounts, err = pki.NewKey()
	return a, err
}

// storage is the account that keeps a cluster's shares.
type storage struct {
	account, key, files string
}

// open returns one of the shares.
func (st storage) open(c *cloud.Connection, name string) (*cloud.Share, error) {
	return c.OpenShare(st.account, st.key, st.files, name)
}

// openStorage finds the storage account of the cluster's resource group; its
// account is empty when there is none.
func openStorage(ctx context.Context, c *cloud.Connection, name string) (storage, error) {
	accounts, err := c.ListAccounts(ctx, name)
	if err != nil || len(accounts) == 0 {
		return storage{}, err
	}
	key, files, err := c.AccountKey(ctx, name, accounts[0])
	return storage{account: accounts[0], key: key, files: files}, err
}

// load reads a cluster's record. The error's kind is NotFound when there is no
// such cluster, or when up was interrupted before it had written the record.
func load(ctx context.Context, c *cloud.Connection, name string) (*Record, storage, error) {
	missing := fault.New(fault.NotFound, "`frankenetes list` shows the clusters that exist; `frankenetes up "+name+"` makes it",
		"cluster %s does not exist in cloud %s", name, c.Name)
	st, err := openStorage(ctx, c, name)
	if err != nil {
		return nil, st, err
	}
	if st.account == "" {
		return nil, st, missing
	}
	share, err := st.open(c, recordShare)
	if err != nil {
		return nil, st, err
	}
	data, err := share.Read(ctx, recordFile)
	if err != nil {
		return nil, st, err
	}
	if data == nil {
		return nil, st, missing
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, st, fmt.Errorf("read record of cluster %s: %w", name, err)
	}
	if r.Spec.APIVersion != APIVersion {
		return nil, st, fault.New(fault.Conflict, "use the version of frankenetes that made the cluster, or a newer one",
			"cluster %s has a record of version %q, which this program does not know", name, r.Spec.APIVersion)
	}
	return &r, st, nil
}

// save writes a cluster's record.
func (r *Record) save(ctx context.Context, c *cloud.Connection, st storage) error {
	share, err := st.open(c, recordShare)
	if err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode record of cluster %s: %w", r.Spec.Name, err)
	}
	return share.Write(ctx, recordFile, data)
}
