package cloudtest

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"

	"frankenetes.dev/cloud"
	"frankenetes.dev/images"
)

// testImage has a shell and busybox.
const testImage = images.Registry + "/test"

// container is a small container of the test image.
func container(name string, command ...string) *aci.Container {
	return &aci.Container{Name: &name, Properties: &aci.ContainerProperties{
		Image:   to.Ptr(testImage),
		Command: to.SliceOfPtrs(command...),
		Resources: &aci.ResourceRequirements{Requests: &aci.ResourceRequests{
			CPU: to.Ptr(0.1), MemoryInGB: to.Ptr(0.1)}},
	}}
}

// sleeper is a container that does nothing for as long as it may.
func sleeper(name string) *aci.Container { return container(name, "sleep", "1000000") }

// group is a group in the cloud's location that is never restarted, for tests
// to add to.
func (c *localCloud) group(containers ...*aci.Container) cloud.Group {
	return cloud.Group{Location: &c.conn.Location, Properties: &aci.ContainerGroupPropertiesProperties{
		OSType:        to.Ptr(aci.OperatingSystemTypesLinux),
		RestartPolicy: to.Ptr(aci.ContainerGroupRestartPolicyNever),
		Containers:    containers,
	}}
}

// put makes a group of these containers and returns it once it is deployed.
func (c *localCloud) put(name string, containers ...*aci.Container) *cloud.Group {
	c.T.Helper()
	return c.putGroup(name, c.group(containers...))
}

// putGroup makes a group and returns it, with its instance view, once it is
// deployed.
func (c *localCloud) putGroup(name string, g cloud.Group) *cloud.Group {
	c.T.Helper()
	poller, err := c.conn.Groups.BeginCreateOrUpdate(c.ctx(), resourceGroup, name, g, nil)
	if err != nil {
		c.T.Fatalf("put group %s: %v", name, err)
	}
	if _, err := poller.PollUntilDone(c.ctx(), polling()); err != nil {
		c.T.Fatalf("put group %s: %v", name, err)
	}
	return c.get(name)
}

// polling asks as often as the SDK lets one, should an answer say nothing of it.
func polling() *runtime.PollUntilDoneOptions {
	return &runtime.PollUntilDoneOptions{Frequency: 1e9}
}

// get returns a group, which must exist.
func (c *localCloud) get(name string) *cloud.Group {
	c.T.Helper()
	g, err := c.conn.GetGroup(c.ctx(), resourceGroup, name)
	if err != nil || g == nil {
		c.T.Fatalf("get group %s: %v, %v", name, g, err)
	}
	return g
}

// logs returns what a container has printed.
func (c *localCloud) logs(group, container string) string {
	c.T.Helper()
	text, err := c.conn.Logs(c.ctx(), resourceGroup, group, container, 0)
	if err != nil {
		c.T.Fatal(err)
	}
	return text
}

// printed returns when a container has printed something, which must be the
// first that it does. That a container runs says not that it was heard yet.
func (c *localCloud) printed(group, container, want string) {
	c.T.Helper()
	c.await(group, "heard of", func(*cloud.Group) bool {
		got := c.logs(group, container)
		if !strings.HasPrefix(got, want) && !strings.HasPrefix(want, got) {
			c.T.Fatalf("%s printed %q, want %q", container, got, want)
		}
		return strings.HasPrefix(got, want)
	})
}

// remove deletes a group and returns once it is gone.
func (c *localCloud) remove(name string) {
	c.T.Helper()
	if err := c.conn.DeleteGroup(c.ctx(), resourceGroup, name); err != nil {
		c.T.Fatal(err)
	}
}

// putNoWait asks for a group, and returns when the cloud has accepted it.
func (c *localCloud) putNoWait(name string, g cloud.Group) {
	c.T.Helper()
	if err := c.conn.PutGroup(c.ctx(), resourceGroup, name, g); err != nil {
		c.T.Fatal(err)
	}
}

// await returns a group once it is as it should be. ARM has no event for that.
func (c *localCloud) await(name, what string, is func(*cloud.Group) bool) *cloud.Group {
	c.T.Helper()
	for ctx := c.ctx(); ; {
		g := c.get(name)
		if is(g) {
			return g
		}
		select {
		case <-ctx.Done():
			c.T.Fatalf("group %s is not %s: %s\n%s", name, what, show(g), events(g))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stateOf is the state in a group's instance view.
func stateOf(g *cloud.Group) string {
	if view := g.Properties.InstanceView; view != nil && view.State != nil {
		return *view.State
	}
	return ""
}

// show is a group for people to read.
func show(g *cloud.Group) string {
	text, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// refused expects that a request is refused with a status and, unless it is
// empty, a code.
func (c *localCloud) refused(err error, status int, code string) {
	c.T.Helper()
	var e *azcore.ResponseError
	switch {
	case !errors.As(err, &e):
		c.T.Errorf("got %v, want a refusal with %d %s", err, status, code)
	case e.StatusCode != status || code != "" && e.ErrorCode != code:
		c.T.Errorf("refused with %d %s, want %d %s", e.StatusCode, e.ErrorCode, status, code)
	}
}
