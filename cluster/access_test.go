package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"frankenetes.dev/fault"
)

// theirs is a kubeconfig that somebody has already.
const theirs = `apiVersion: v1
kind: Config
current-context: work
clusters: [{name: work, cluster: {server: "https://work.example"}}]
users: [{name: me, user: {token: mine}}]
contexts: [{name: work, context: {cluster: work, user: me, namespace: team}}]
preferences: {}
`

func kubeconfig(t *testing.T, content string) (*clientcmd.PathOptions, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), ".kube", "config")
	if content != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	options := clientcmd.NewDefaultPathOptions()
	options.GlobalFile, options.EnvVar = path, ""
	return options, path
}

func demoAccess(t *testing.T) Access {
	t.Helper()
	s, r := newTestSigner(t)
	access, err := (&subject{Operator: &Operator{cloud: nil}, record: r, signer: s}).accessAt("https://127.0.0.1:6443")
	if err != nil {
		t.Fatal(err)
	}
	return access
}

func TestMergeAndForgetLeaveOtherEntriesAlone(t *testing.T) {
	paths, file := kubeconfig(t, theirs)
	access := demoAccess(t)
	for range 2 {
		if err := access.Merge(paths); err != nil {
			t.Fatal(err)
		}
	}
	c, err := paths.GetStartingConfig()
	if err != nil {
		t.Fatal(err)
	}
	if c.CurrentContext != "frankenetes-demo" || len(c.Contexts) != 2 {
		t.Errorf("after merge: current %q, contexts %v", c.CurrentContext, c.Contexts)
	}
	if mine := c.AuthInfos["me"]; mine == nil || mine.Token != "mine" || c.Contexts["work"].Namespace != "team" {
		t.Errorf("the other entry has become %+v", c.Contexts["work"])
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	for range 2 {
		if err := Forget(paths, "demo"); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "frankenetes") || !strings.Contains(string(data), "https://work.example") {
		t.Errorf("after forget:\n%s", data)
	}
}

func TestThereNeedBeNoKubeconfig(t *testing.T) {
	paths, file := kubeconfig(t, "")
	if err := Forget(paths, "demo"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("forgetting made a file: %v", err)
	}
	if err := demoAccess(t).Merge(paths); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the new file: %v, %v", info, err)
	}
}

func TestAKubeconfigThatCannotBeReadIsNotOverwritten(t *testing.T) {
	paths, file := kubeconfig(t, "this: [is not\na kubeconfig")
	err := demoAccess(t).Merge(paths)
	if fault.KindOf(err) != fault.Conflict || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if data, _ := os.ReadFile(file); !strings.HasPrefix(string(data), "this: [is not") {
		t.Errorf("it was overwritten with %q", data)
	}
}

func TestALockOfSomebodyElseIsRespected(t *testing.T) {
	paths, file := kubeconfig(t, theirs)
	if err := os.WriteFile(file+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := demoAccess(t).Merge(paths)
	if fault.KindOf(err) != fault.Conflict {
		t.Errorf("got %v", err)
	}
	if data, _ := os.ReadFile(file); string(data) != theirs {
		t.Errorf("it was written all the same: %q", data)
	}
}

func TestClustersThatBecomeReadyAtOnceAreAllMerged(t *testing.T) {
	paths, _ := kubeconfig(t, theirs)
	access := demoAccess(t)
	const many = 48
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			one := Access{Context: Context(fmt.Sprint("demo", i)), Config: clientcmdapi.NewConfig()}
			one.Config.Clusters[one.Context] = access.Config.Clusters[access.Context].DeepCopy()
			one.Config.AuthInfos[one.Context] = access.Config.AuthInfos[access.Context].DeepCopy()
			one.Config.Contexts[one.Context] = &clientcmdapi.Context{Cluster: one.Context, AuthInfo: one.Context}
			// Every frankenetes has options of its own; kubectl's code sorts them in place.
			own := *paths
			if err := one.Merge(&own); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	c, err := paths.GetStartingConfig()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Contexts) != many+1 || len(c.Clusters) != many+1 || len(c.AuthInfos) != many+1 {
		t.Errorf("of %d entries, %d contexts, %d clusters and %d users are there", many+1, len(c.Contexts), len(c.Clusters), len(c.AuthInfos))
	}
}

func TestALockThatIsReleasedIsWaitedFor(t *testing.T) {
	paths, file := kubeconfig(t, theirs)
	if err := os.WriteFile(file+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	release := time.AfterFunc(2*pollEvery, func() { _ = os.Remove(file + ".lock") })
	defer release.Stop()
	if err := demoAccess(t).Merge(paths); err != nil {
		t.Error(err)
	}
}
