package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"frankenetes.dev/test/azurefiles"
)

// TestAzureFiles has etcd's share behave as on Azure, where it is no directory
// of this machine: then etcd's group loses its machine, with all that was not
// synced, and the cluster is paused and resumed. Nothing may be lost.
func TestAzureFiles(t *testing.T) {
	m := newOperator(t)
	m.Run("up")
	m.Run("pause")
	dirs, err := filepath.Glob(filepath.Join(m.Home, "shares", "*", "etcd"))
	if err != nil || len(dirs) != 1 {
		t.Fatalf("etcd's share: %q, %v", dirs, err)
	}
	share, err := azurefiles.New(dirs[0], azurefiles.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mount := func(name string) *azurefiles.Client {
		c, err := share.Mount(dirs[0], azurefiles.MountOptions{Client: name})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Kill(); err != nil {
				t.Error(err)
			}
		})
		return c
	}

	first := mount("first")
	m.Run("resume")
	m.expectOpen(share, "first")
	for i := range 20 {
		m.kubectl("create", "configmap", fmt.Sprint("before-", i))
	}
	// The next machine is there before the first goes, so that etcd comes back
	// on no other file system.
	if err := first.Detach(); err != nil {
		t.Fatal(err)
	}
	second := mount("second")
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	m.eventually("the cluster answers", func() error { return m.answered("get", "namespaces") })
	m.expectOpen(share, "second")
	m.expectConfigMaps("before-", 20)
	m.kubectl("create", "configmap", "after-0")

	m.Run("pause")
	if open := share.Handles(); len(open) > 0 {
		t.Errorf("files are open while the cluster is paused: %v", open)
	}
	if err := errors.Join(second.Unmount(), share.Close()); err != nil {
		t.Fatal(err)
	}
	m.Run("resume")
	m.expectConfigMaps("before-", 20)
	m.expectConfigMaps("after-", 1)
	m.Run("down", "--yes")
	m.Run("cloud", "stop")
}

// expectOpen expects that a client, and no other, has files open.
func (m *operator) expectOpen(share *azurefiles.Share, client string) {
	m.T.Helper()
	open := share.Handles()
	if len(open) == 0 || slices.ContainsFunc(open, func(h azurefiles.Handle) bool { return h.Client != client }) {
		m.T.Fatalf("the share's files are not open for %s alone: %v", client, open)
	}
}

// expectConfigMaps expects as many with names that begin so.
func (m *operator) expectConfigMaps(prefix string, count int) {
	m.T.Helper()
	if got := strings.Count(m.kubectl("get", "configmaps", "-o", "name"), "/"+prefix); got != count {
		m.T.Errorf("there are %d %s, want %d", got, prefix, count)
	}
}
