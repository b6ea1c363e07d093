package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"frankenetes.dev/fault"
	"frankenetes.dev/pki"
)

// Access is how users reach a cluster.
type Access struct {
	Name string `json:"name"`
	// Server is the API server's URL.
	Server string `json:"server"`
	// Context is the name of the entry in the kubeconfig.
	Context string `json:"context"`
	// Config has that one entry.
	Config *clientcmdapi.Config `json:"-"`
}

// Access returns the credentials of a cluster that exists, running or not.
func (o *Operator) Access(ctx context.Context, name string) (Access, error) {
	s, err := o.open(ctx, name)
	if err != nil {
		return Access{}, err
	}
	return s.access()
}

func (s *subject) access() (Access, error) { return s.accessAt(s.userURL()) }

func (s *subject) accessAt(server string) (Access, error) {
	pair, err := s.signer.cluster.Issue(pki.Leaf{
		CommonName: "frankenetes:admin", Organizations: []string{adminGroup}, Client: true})
	if err != nil {
		return Access{}, err
	}
	name := Context(s.name())
	return Access{
		Name: s.name(), Server: server, Context: name,
		Config: s.signer.config(name, name, server, s.signer.fqdn(APIServer), pair),
	}, nil
}

// Merge puts the entry into the kubeconfig that paths says, and makes it the
// current one. Other entries stay as they are; kubectl's own lock is taken.
func (a Access) Merge(paths clientcmd.ConfigAccess) error {
	dir := filepath.Dir(paths.GetDefaultFilename())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return modify(paths, func(c *clientcmdapi.Config) bool {
		c.Clusters[a.Context] = a.Config.Clusters[a.Context]
		c.AuthInfos[a.Context] = a.Config.AuthInfos[a.Context]
		c.Contexts[a.Context] = a.Config.Contexts[a.Context]
		c.CurrentContext = a.Context
		return true
	})
}

// Forget removes a cluster's entry from the kubeconfig; none is no error.
func Forget(paths clientcmd.ConfigAccess, name string) error {
	entry := Context(name)
	return modify(paths, func(c *clientcmdapi.Config) bool {
		_, known := c.Contexts[entry]
		_, knownCluster := c.Clusters[entry]
		delete(c.Clusters, entry)
		delete(c.AuthInfos, entry)
		delete(c.Contexts, entry)
		if c.CurrentContext == entry {
			c.CurrentContext = ""
		}
		return known || knownCluster
	})
}

// modify reads, changes and writes the kubeconfig; change says whether there
// is anything to write. kubectl's lock is held only while it is written, which
// would lose the entry that another frankenetes writes at the same time: they
// wait for each other before they read.
func modify(paths clientcmd.ConfigAccess, change func(*clientcmdapi.Config) bool) error {
	unlock := lockDir(filepath.Dir(paths.GetDefaultFilename()))
	defer unlock()
	var err error
	for end := time.Now().Add(kubectlPatience); time.Now().Before(end); time.Sleep(pollEvery) {
		if err = modifyOnce(paths, change); !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return fault.New(fault.Conflict, "if no kubectl is writing it, remove that .lock file", "%w", err)
}

// kubectlPatience is how long we wait for kubectl's lock: whoever holds it
// writes one small file.
const kubectlPatience = 2 * time.Second

// lockDir keeps other programs of ours out of a directory until unlock. Where
// it cannot (there is none, or its file system has no locks), only kubectl's
// own lock is left.
func lockDir(dir string) (unlock func()) {
	f, err := os.Open(dir)
	if err != nil {
		return func() {}
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
	return func() { f.Close() }
}

func modifyOnce(paths clientcmd.ConfigAccess, change func(*clientcmdapi.Config) bool) error {
	c, err := paths.GetStartingConfig()
	if err != nil {
		return fault.New(fault.Conflict, "mend the file, or choose another with $KUBECONFIG", "read kubeconfig: %w", err)
	}
	if !change(c) {
		return nil
	}
	if err := clientcmd.ModifyConfig(paths, *c, true); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}
