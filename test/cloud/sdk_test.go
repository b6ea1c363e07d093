package cloudtest

import (
	"context"
	"slices"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/cloud"
)

// TestSDK does with the Go SDK, and its own pollers, all that it can do with
// container groups.
func TestSDK(t *testing.T) {
	c := newCloud(t)
	c.part("a group with everything", testWholeGroup)
	c.part("lists", testLists)
	c.part("tags", testTags)
	c.part("stop, start, restart", testActions)
	c.part("update", testUpdate)
	c.part("what comes to an end", testEnds)
	c.part("logs and exec", testStreams)
	c.part("attach", testAttach)
	c.part("the location", testLocation)
	c.part("delete", testDelete)
	c.part("what is refused", testRefusals)
}

// wholeGroup is a group that uses most of what there is.
func wholeGroup(c *localCloud) cloud.Group {
	first := container("first", "/bin/sh", "-c", "echo $GREETING $SECRET; cat /secret/word /shared/from-init; sleep 1000000")
	first.Properties.Ports = []*aci.ContainerPort{{Port: to.Ptr[int32](8080)}}
	first.Properties.EnvironmentVariables = []*aci.EnvironmentVariable{
		{Name: to.Ptr("GREETING"), Value: to.Ptr("hello")},
		{Name: to.Ptr("SECRET"), SecureValue: to.Ptr("open-sesame")},
	}
	first.Properties.VolumeMounts = []*aci.VolumeMount{
		{Name: to.Ptr("secret"), MountPath: to.Ptr("/secret"), ReadOnly: to.Ptr(true)},
		{Name: to.Ptr("shared"), MountPath: to.Ptr("/shared")},
	}
	g := c.group(first, sleeper("second"))
	g.Tags = map[string]*string{"team": to.Ptr("blue")}
	g.Properties.InitContainers = []*aci.InitContainerDefinition{{
		Name: to.Ptr("before"),
		Properties: &aci.InitContainerPropertiesDefinition{
			Image:        to.Ptr(testImage),
			Command:      to.SliceOfPtrs("/bin/sh", "-c", "echo from init > /shared/from-init"),
			VolumeMounts: []*aci.VolumeMount{{Name: to.Ptr("shared"), MountPath: to.Ptr("/shared")}},
		},
	}}
	g.Properties.IPAddress = &aci.IPAddress{
		Type:         to.Ptr(aci.ContainerGroupIPAddressTypePublic),
		Ports:        []*aci.Port{{Port: to.Ptr[int32](8080), Protocol: to.Ptr(aci.ContainerGroupNetworkProtocolTCP)}},
		DNSNameLabel: to.Ptr("whole-group"),
	}
	g.Properties.Volumes = []*aci.Volume{
		{Name: to.Ptr("secret"), Secret: map[string]*string{"word": to.Ptr("b3Blbgo=")}},
		{Name: to.Ptr("shared"), EmptyDir: map[string]any{}},
	}
	return g
}

func testWholeGroup(c *localCloud) {
	g := c.putGroup("whole", wholeGroup(c))
	p := g.Properties
	if got, want := *p.IPAddress.Fqdn, "whole-group."+c.conn.Location+".azurecontainer.io"; got != want {
		c.T.Errorf("name %q, want %q", got, want)
	}
	if *p.IPAddress.IP == "" || *p.InstanceView.State != "Running" || *p.ProvisioningState != "Succeeded" {
		c.T.Errorf("address %q, state %q, provisioning state %q", *p.IPAddress.IP, *p.InstanceView.State, *p.ProvisioningState)
	}
	for _, secret := range p.Volumes[0].Secret {
		if secret != nil && *secret != "" {
			c.T.Errorf("the secret volume's content came back: %q", *secret)
		}
	}
	if env := p.Containers[0].Properties.EnvironmentVariables; env[1].SecureValue != nil || env[1].Value != nil || *env[0].Value != "hello" {
		c.T.Errorf("environment %+v", env)
	}
	before := p.InitContainers[0].Properties.InstanceView
	if *before.CurrentState.State != "Terminated" || *before.CurrentState.ExitCode != 0 {
		c.T.Errorf("the init container is %s with exit code %v", *before.CurrentState.State, before.CurrentState.ExitCode)
	}
	view := p.Containers[0].Properties.InstanceView
	if *view.RestartCount != 0 || *view.CurrentState.State != "Running" || view.CurrentState.StartTime == nil {
		c.T.Errorf("first is %+v", view.CurrentState)
	}
	var events []string
	for _, e := range view.Events {
		events = append(events, *e.Name)
	}
	if !slices.Contains(events, "Pulled") || !slices.Contains(events, "Started") {
		c.T.Errorf("events %v", events)
	}
	c.printed("whole", "first", "hello open-sesame\nopen\nfrom init\n")
}

func testLists(c *localCloud) {
	for what, pages := range map[string][]*aci.ContainerGroup{
		"resource group": collect(c, c.conn.Groups.NewListByResourceGroupPager(resourceGroup, nil), func(r aci.ContainerGroupsClientListByResourceGroupResponse) []*aci.ContainerGroup { return r.Value }),
		"subscription":   collect(c, c.conn.Groups.NewListPager(nil), func(r aci.ContainerGroupsClientListResponse) []*aci.ContainerGroup { return r.Value }),
	} {
		if len(pages) != 1 || *pages[0].Name != "whole" {
			c.T.Fatalf("groups of the %s: %+v", what, pages)
		}
		if pages[0].Properties.InstanceView != nil || pages[0].Properties.Containers[0].Properties.InstanceView != nil {
			c.T.Errorf("the list of the %s shows instance views", what)
		}
	}
}

// collect reads all pages of a list.
func collect[R, T any](c *localCloud, pager interface {
	More() bool
	NextPage(ctx context.Context) (R, error)
}, values func(R) []T) []T {
	c.T.Helper()
	var all []T
	for pager.More() {
		page, err := pager.NextPage(c.ctx())
		if err != nil {
			c.T.Fatal(err)
		}
		all = append(all, values(page)...)
	}
	return all
}

func testTags(c *localCloud) {
	got, err := c.conn.Groups.Update(c.ctx(), resourceGroup, "whole", aci.Resource{Tags: map[string]*string{"team": to.Ptr("green"), "new": to.Ptr("")}}, nil)
	if err != nil {
		c.T.Fatal(err)
	}
	want := map[string]*string{"team": to.Ptr("green"), "new": to.Ptr("")}
	if diff := cmp.Diff(want, got.Tags); diff != "" {
		c.T.Errorf("tags of the answer (-want +got):\n%s", diff)
	}
	g := c.get("whole")
	if diff := cmp.Diff(want, g.Tags); diff != "" {
		c.T.Errorf("tags (-want +got):\n%s", diff)
	}
	if restarts := *g.Properties.Containers[0].Properties.InstanceView.RestartCount; restarts != 0 || *g.Properties.InstanceView.State != "Running" {
		c.T.Errorf("new tags disturbed the group: %d restarts", restarts)
	}
}

func testActions(c *localCloud) {
	if _, err := c.conn.Groups.Stop(c.ctx(), resourceGroup, "whole", nil); err != nil {
		c.T.Fatal(err)
	}
	g := c.get("whole")
	if *g.Properties.InstanceView.State != "Stopped" || *g.Properties.ProvisioningState != "Succeeded" {
		c.T.Errorf("after stop: %s, %s", *g.Properties.InstanceView.State, *g.Properties.ProvisioningState)
	}
	start, err := c.conn.Groups.BeginStart(c.ctx(), resourceGroup, "whole", nil)
	if err != nil {
		c.T.Fatal(err)
	}
	if _, err := start.PollUntilDone(c.ctx(), polling()); err != nil {
		c.T.Fatal(err)
	}
	g = c.get("whole")
	if *g.Properties.InstanceView.State != "Running" || *g.Properties.IPAddress.Fqdn == "" {
		c.T.Errorf("after start: %s", *g.Properties.InstanceView.State)
	}
	began := *g.Properties.Containers[0].Properties.InstanceView.CurrentState.StartTime
	restart, err := c.conn.Groups.BeginRestart(c.ctx(), resourceGroup, "whole", nil)
	if err != nil {
		c.T.Fatal(err)
	}
	if _, err := restart.PollUntilDone(c.ctx(), polling()); err != nil {
		c.T.Fatal(err)
	}
	c.await("whole", "running again after the restart", func(g *cloud.Group) bool {
		now := g.Properties.Containers[0].Properties.InstanceView
		return now != nil && now.CurrentState != nil && *now.CurrentState.State == "Running" && now.CurrentState.StartTime.After(began)
	})
}

func testUpdate(c *localCloud) {
	g := wholeGroup(c)
	g.Properties.Containers[0].Properties.EnvironmentVariables[0].Value = to.Ptr("good evening")
	g.Tags = nil
	got := c.putGroup("whole", g)
	if len(got.Tags) != 0 {
		c.T.Errorf("tags that were left out are still there: %v", got.Tags)
	}
	c.printed("whole", "first", "good evening open-sesame\n")
	g = wholeGroup(c)
	g.Properties.Containers[0].Properties.Resources.Requests.CPU = to.Ptr(0.2)
	_, err := c.conn.Groups.BeginCreateOrUpdate(c.ctx(), resourceGroup, "whole", g, nil)
	c.refused(err, 400, "InvalidContainerGroupUpdate")
}

func testEnds(c *localCloud) {
	c.putNoWait("ends", c.group(container("good", "true"), container("bad", "sh", "-c", "exit 42")))
	g := c.await("ends", "failed", func(g *cloud.Group) bool { return stateOf(g) == "Failed" })
	for i, want := range []int32{0, 42} {
		now := g.Properties.Containers[i].Properties.InstanceView.CurrentState
		if *now.State != "Terminated" || *now.ExitCode != want || now.FinishTime == nil || now.StartTime == nil {
			c.T.Errorf("%s: %s with exit code %d", *g.Properties.Containers[i].Name, *now.State, *now.ExitCode)
		}
	}
	c.putNoWait("again", func() cloud.Group {
		g := c.group(container("again", "sh", "-c", "sleep 0.2; exit 3"))
		g.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyOnFailure)
		return g
	}())
	g = c.await("again", "restarted", func(g *cloud.Group) bool {
		v := g.Properties.Containers[0].Properties.InstanceView
		return v != nil && v.RestartCount != nil && *v.RestartCount > 0 && v.PreviousState != nil && v.PreviousState.ExitCode != nil
	})
	if code := *g.Properties.Containers[0].Properties.InstanceView.PreviousState.ExitCode; code != 3 {
		c.T.Errorf("previous exit code %d", code)
	}
	c.remove("ends")
	c.remove("again")
}
