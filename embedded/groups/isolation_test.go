package groups

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/google/go-cmp/cmp"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/embedded/isolation"
)

// rangeOf returns the first id on the host of a container's user namespace, 0
// for none. Its mounts have to agree.
func rangeOf(t *testing.T, c *fakeContainer) uint32 {
	t.Helper()
	security := c.config.Linux.SecurityContext
	options := security.NamespaceOptions.UsernsOptions
	for _, m := range c.config.Mounts {
		if diff := cmp.Diff(options.GetUids(), m.UidMappings, cmp.Comparer(sameMapping)); diff != "" {
			t.Errorf("mount %s has other owners than the container: %s", m.ContainerPath, diff)
		}
	}
	if options == nil {
		if security.Seccomp.ProfileType != runtimeapi.SecurityProfile_RuntimeDefault {
			t.Errorf("seccomp without a user namespace: %v", security.Seccomp)
		}
		return 0
	}
	if security.Seccomp.LocalhostRef != "/filter" || options.Mode != runtimeapi.NamespaceMode_POD || options.Uids[0].Length != isolation.RangeSize {
		t.Errorf("user namespace %v with seccomp %v", options, security.Seccomp)
	}
	return options.Uids[0].HostId
}

func sameMapping(a, b *runtimeapi.IDMapping) bool {
	return a.HostId == b.HostId && a.ContainerId == b.ContainerId && a.Length == b.Length
}

// A group keeps the ids of its sandbox through a new daemon, even one that
// gives new groups none.
func TestUserNamespaces(t *testing.T) {
	w := newWorld(t)
	w.options.Isolation = Isolation{IDs: isolation.NewIDs("x"), Filter: "/filter"}
	c := w.operate(t)
	one := sdkGroup(sdkContainer("one"))
	one.Properties.Volumes = []*aci.Volume{{Name: to.Ptr("scratch"), EmptyDir: map[string]any{}}}
	one.Properties.Containers[0].Properties.VolumeMounts = []*aci.VolumeMount{{Name: to.Ptr("scratch"), MountPath: to.Ptr("/dir")}}
	c.create(t, "first", one)
	c.create(t, "second", sdkGroup(sdkContainer("two")))
	first, second := rangeOf(t, w.runtime.latest("one")), rangeOf(t, w.runtime.latest("two"))
	if first == 0 || second == 0 || first == second {
		t.Errorf("the groups' ids begin at %d and %d", first, second)
	}

	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	w.options.Isolation = Isolation{Filter: "/filter"}
	again := w.operate(t)
	w.runtime.finish(t, "one", 1, "")
	w.runtime.await(t, "a restart", func() bool { r := w.runtime.running("one"); return r != nil && r.config.Metadata.Attempt == 1 })
	if now := rangeOf(t, w.runtime.latest("one")); now != first {
		t.Errorf("after the restart the ids begin at %d, and in the sandbox at %d", now, first)
	}
	again.create(t, "third", sdkGroup(sdkContainer("three")))
	if got := rangeOf(t, w.runtime.latest("three")); got != 0 {
		t.Errorf("a new group has ids from %d, and none were to be had", got)
	}
}
