package groups

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/cloud"
)

func state(g *aci.ContainerGroup) string { return *g.Properties.InstanceView.State }

func inside(g *aci.ContainerGroup, i int) *aci.ContainerPropertiesInstanceView {
	return g.Properties.Containers[i].Properties.InstanceView
}

func TestLifeOfAGroup(t *testing.T) {
	w := newWorld(t)
	w.runtime.script["prepare"] = 0
	c := w.operate(t)
	g := sdkGroup(sdkContainer("web"), sdkContainer("log"))
	g.Properties.InitContainers = []*aci.InitContainerDefinition{{Name: to.Ptr("prepare"),
		Properties: &aci.InitContainerPropertiesDefinition{Image: to.Ptr(testImage)}}}

	made := c.create(t, "life", g)
	if *made.Properties.ProvisioningState != "Succeeded" || state(made) != "Running" {
		t.Errorf("created: provisioning %s, state %s", *made.Properties.ProvisioningState, state(made))
	}
	if got := *made.Properties.InitContainers[0].Properties.InstanceView.CurrentState.ExitCode; got != 0 {
		t.Errorf("init container exited with %d", got)
	}
	order := w.runtime.history()
	if strings.Index(order, "start prepare") > strings.Index(order, "start web") {
		t.Errorf("the init container did not come first: %s", order)
	}

	c.delete(t, "life")
	if sandboxes, containers := w.runtime.left(); sandboxes != 0 || containers != 0 || w.cgroups.count() != 0 {
		t.Errorf("left behind: %d sandboxes, %d containers, %d control groups", sandboxes, containers, w.cgroups.count())
	}
	for _, dir := range []string{"volumes", "logs", "memory"} {
		if left, _ := filepath.Glob(filepath.Join(w.dir, dir, "*")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	_, err := c.groups.Get(t.Context(), "rg", "life", nil)
	if code := refused(t, err); code != "ResourceNotFound" {
		t.Errorf("get after delete: %s", code)
	}
	c.delete(t, "life") // again, which is fine
}

func TestRestartPolicies(t *testing.T) {
	w := newWorld(t)
	w.runtime.script["crash"], w.runtime.script["fail"], w.runtime.script["done"] = 3, 7, 0
	c := w.operate(t)

	// Always: the first restart is at once, the second after a back-off.
	c.create(t, "always", sdkGroup(sdkContainer("crash")))
	g := c.eventually(t, "always", "backing off", func(g *aci.ContainerGroup) bool {
		return strings.HasPrefix(*inside(g, 0).CurrentState.DetailStatus, "CrashLoopBackOff")
	})
	if v := inside(g, 0); *v.RestartCount != 1 || *v.PreviousState.ExitCode != 3 || *v.PreviousState.DetailStatus != "Error" || state(g) != "Running" {
		t.Errorf("crashing: %d restarts, last exit %d (%s), group %s", *v.RestartCount, *v.PreviousState.ExitCode, *v.PreviousState.DetailStatus, state(g))
	}

	// Never: one bad end is the group's.
	bad := sdkGroup(sdkContainer("done"), sdkContainer("fail"))
	bad.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "never", bad)
	g = c.eventually(t, "never", "failed", func(g *aci.ContainerGroup) bool { return state(g) == "Failed" })
	if *inside(g, 1).CurrentState.ExitCode != 7 || *inside(g, 1).RestartCount != 0 {
		t.Errorf("never: exit %d, %d restarts", *inside(g, 1).CurrentState.ExitCode, *inside(g, 1).RestartCount)
	}

	// OnFailure: a good end is the end.
	good := sdkGroup(sdkContainer("done"))
	good.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyOnFailure)
	c.create(t, "onfailure", good)
	c.eventually(t, "onfailure", "succeeded", func(g *aci.ContainerGroup) bool { return state(g) == "Succeeded" })
	w.runtime.await(t, "nothing of the ended groups", func() bool { return len(w.runtime.sandboxes) == 1 })
}

func TestRunsThatEndBadly(t *testing.T) {
	w := newWorld(t)
	w.runtime.refuse["nocommand"] = "exec: /run: no such file"
	w.runtime.script["setup"] = 4
	c := w.operate(t)
	never := func(g aci.ContainerGroup) aci.ContainerGroup {
		g.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
		return g
	}

	c.create(t, "nocommand", never(sdkGroup(sdkContainer("nocommand"))))
	g := c.eventually(t, "nocommand", "failed", func(g *aci.ContainerGroup) bool { return state(g) == "Failed" })
	if *inside(g, 0).CurrentState.ExitCode != exitNotStarted {
		t.Errorf("exit code %d", *inside(g, 0).CurrentState.ExitCode)
	}

	c.create(t, "oom", never(sdkGroup(sdkContainer("greedy"))))
	w.runtime.finish(t, "greedy", 137, "OOMKilled")
	g = c.eventually(t, "oom", "failed", func(g *aci.ContainerGroup) bool { return state(g) == "Failed" })
	if *inside(g, 0).CurrentState.DetailStatus != "OOMKilled" {
		t.Errorf("detail %s", *inside(g, 0).CurrentState.DetailStatus)
	}

	bad := never(sdkGroup(sdkContainer("main")))
	bad.Properties.InitContainers = []*aci.InitContainerDefinition{{Name: to.Ptr("setup"), Properties: &aci.InitContainerPropertiesDefinition{Image: to.Ptr(testImage)}}}
	poller, err := c.groups.BeginCreateOrUpdate(t.Context(), "rg", "badinit", bad, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = poller.PollUntilDone(t.Context(), nil); refused(t, err) != "Failed" {
		t.Errorf("provisioning: %v", err)
	}
	g = c.get(t, "badinit")
	if state(g) != "Failed" || *g.Properties.ProvisioningState != "Failed" {
		t.Errorf("state %s, provisioning %s", state(g), *g.Properties.ProvisioningState)
	}
}

func TestSecretsAreNotToldAgain(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	g := sdkGroup(sdkContainer("web"))
	g.Properties.Containers[0].Properties.EnvironmentVariables = []*aci.EnvironmentVariable{
		{Name: to.Ptr("OPEN"), Value: to.Ptr("seen")}, {Name: to.Ptr("HIDDEN"), SecureValue: to.Ptr("unseen-variable")}}
	g.Properties.Containers[0].Properties.VolumeMounts = []*aci.VolumeMount{
		{Name: to.Ptr("secrets"), MountPath: to.Ptr("/secrets")}, {Name: to.Ptr("share"), MountPath: to.Ptr("/share")}, {Name: to.Ptr("scratch"), MountPath: to.Ptr("/scratch")}}
	g.Properties.Volumes = []*aci.Volume{
		{Name: to.Ptr("secrets"), Secret: map[string]*string{"key": to.Ptr("dW5zZWVu")}},
		{Name: to.Ptr("scratch"), EmptyDir: map[string]any{}},
		{Name: to.Ptr("share"), AzureFile: &aci.AzureFileVolume{ShareName: to.Ptr("data"), StorageAccountName: to.Ptr("account"), StorageAccountKey: to.Ptr("a2V5")}}}
	g.Properties.ImageRegistryCredentials = []*aci.ImageRegistryCredential{{Server: to.Ptr("example.com"), Username: to.Ptr("me"), Password: to.Ptr("unseen-password")}}
	c.create(t, "secret", g)

	got, err := json.Marshal(c.get(t, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"unseen-variable", "dW5zZWVu", "a2V5", "unseen-password"} {
		if strings.Contains(string(got), secret) {
			t.Errorf("the answer tells %s", secret)
		}
	}
	for _, known := range []string{`"value":"seen"`, `"name":"HIDDEN"`, `"emptyDir":{}`, `"secret":{}`, `"shareName":"data"`} {
		if !strings.Contains(string(got), known) {
			t.Errorf("the answer lacks %s: %s", known, got)
		}
	}
	config := w.runtime.latest("web").config
	env := map[string]string{}
	for _, e := range config.Envs {
		env[e.Key] = string(e.Value)
	}
	if diff := cmp.Diff(map[string]string{"OPEN": "seen", "HIDDEN": "unseen-variable"}, env); diff != "" {
		t.Errorf("the container's environment: %s", diff)
	}
	mounts := map[string]bool{}
	for _, m := range config.Mounts {
		mounts[m.ContainerPath] = m.Readonly
		if m.ContainerPath == "/secrets" {
			if content, err := os.ReadFile(filepath.Join(m.HostPath, "key")); err != nil || string(content) != "unseen" {
				t.Errorf("secret file: %q, %v", content, err)
			}
		}
	}
	if diff := cmp.Diff(map[string]bool{"/etc/hosts": false, "/secrets": true, "/share": false, "/scratch": false}, mounts); diff != "" {
		t.Errorf("mounts, and whether they are read-only: %s", diff)
	}
}

func TestNamesAndPublishedPorts(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	g := sdkGroup(sdkContainer("web"))
	g.Properties.Containers[0].Properties.Ports = []*aci.ContainerPort{{Port: to.Ptr[int32](8080)}}
	g.Properties.IPAddress = &aci.IPAddress{Type: to.Ptr(aci.ContainerGroupIPAddressTypePublic), DNSNameLabel: to.Ptr("label"), Ports: []*aci.Port{{Port: to.Ptr[int32](8080)}}}

	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	g.Tags = map[string]*string{cloud.PublishTag: to.Ptr(fmt.Sprintf("%d:8080", port))}
	_, err = c.groups.BeginCreateOrUpdate(t.Context(), "rg", "web", g, nil)
	if code := refused(t, err); code != "HostPortUnavailable" {
		t.Errorf("port that is taken: %s", code)
	}
	free.Close()

	made := c.create(t, "web", g)
	address := made.Properties.IPAddress
	if *address.Fqdn != "label.local.azurecontainer.io" {
		t.Errorf("name %s", *address.Fqdn)
	}
	if got := w.zone.Lookup(t.Context(), "LABEL.local.azurecontainer.io."); got != netip.MustParseAddr(*address.IP) {
		t.Errorf("the name resolves to %s, the group has %s", got, *address.IP)
	}
	_, err = c.groups.BeginCreateOrUpdate(t.Context(), "rg", "other", g, nil)
	if code := refused(t, err); code != "DnsNameLabelNotAvailable" {
		t.Errorf("label that is taken: %s", code)
	}

	g.Properties.IPAddress.DNSNameLabel = to.Ptr("other")
	made = c.create(t, "web", g)
	if w.zone.Has("label.local.azurecontainer.io") {
		t.Error("the name that was given up is still there")
	}
	if got := w.zone.Lookup(t.Context(), "other.local.azurecontainer.io"); got != netip.MustParseAddr(*made.Properties.IPAddress.IP) {
		t.Errorf("the new name resolves to %s", got)
	}

	c.delete(t, "web")
	if w.zone.Has("other.local.azurecontainer.io") {
		t.Error("the name is still there")
	}
	again, err := net.Listen("tcp", free.Addr().String())
	if err != nil {
		t.Fatalf("the port is still bound: %v", err)
	}
	again.Close()
}

// fullName creates a group with a label and returns its full name.
func (c *client) fullName(t *testing.T, rg, name string, scope aci.DNSNameLabelReusePolicy) string {
	t.Helper()
	g := sdkGroup(sdkContainer("web"))
	g.Properties.Containers[0].Properties.Ports = []*aci.ContainerPort{{Port: to.Ptr[int32](80)}}
	g.Properties.IPAddress = &aci.IPAddress{Type: to.Ptr(aci.ContainerGroupIPAddressTypePublic), DNSNameLabel: to.Ptr("label"),
		AutoGeneratedDomainNameLabelScope: &scope, Ports: []*aci.Port{{Port: to.Ptr[int32](80)}}}
	poller, err := c.groups.BeginCreateOrUpdate(t.Context(), rg, name, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := poller.PollUntilDone(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := *r.Properties.IPAddress.AutoGeneratedDomainNameLabelScope; got != scope {
		t.Errorf("scope %s came back as %s", scope, got)
	}
	return *r.Properties.IPAddress.Fqdn
}

func TestAFullNameComesBackToWhoHasTheScope(t *testing.T) {
	c := newWorld(t).operate(t)
	c.resourceGroup(t, "other")
	names := map[string]bool{}
	for _, test := range []struct {
		scope               aci.DNSNameLabelReusePolicy
		sameAgain, sameElse bool
	}{
		{aci.DNSNameLabelReusePolicyTenantReuse, true, true},
		{aci.DNSNameLabelReusePolicySubscriptionReuse, true, true},
		{aci.DNSNameLabelReusePolicyResourceGroupReuse, true, false},
		{aci.DNSNameLabelReusePolicyNoreuse, false, false},
	} {
		first := c.fullName(t, "rg", "web", test.scope)
		if !regexp.MustCompile(`^label\.[a-z]{16}\.local\.azurecontainer\.io$`).MatchString(first) || names[first] {
			t.Errorf("%s: %s, after %v", test.scope, first, names)
		}
		names[first] = true
		if again := c.fullName(t, "rg", "web", test.scope); again != first {
			t.Errorf("%s: an update moved %s to %s", test.scope, first, again)
		}
		c.delete(t, "web")
		if again := c.fullName(t, "rg", "web", test.scope); (again == first) != test.sameAgain {
			t.Errorf("%s: created again %s is %s", test.scope, first, again)
		}
		c.delete(t, "web")
		elsewhere := c.fullName(t, "other", "web", test.scope)
		if (elsewhere == first) != test.sameElse {
			t.Errorf("%s: in another resource group %s is %s", test.scope, first, elsewhere)
		}
		poller, err := c.groups.BeginDelete(t.Context(), "other", "web", nil)
		if err == nil {
			_, err = poller.PollUntilDone(t.Context(), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// Two may have the same label as long as their full names are two.
	c.fullName(t, "rg", "one", aci.DNSNameLabelReusePolicyUnsecure)
	c.fullName(t, "rg", "two", aci.DNSNameLabelReusePolicyTenantReuse)
}

func TestReplacing(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	g := sdkGroup(sdkContainer("web"))
	c.create(t, "web", g)
	first := w.runtime.latest("web").status.Id

	g.Tags = map[string]*string{"team": to.Ptr("a")}
	if got := c.create(t, "web", g); *got.Tags["team"] != "a" || w.runtime.latest("web").status.Id != first {
		t.Error("a change of tags alone restarted the group, or was lost")
	}
	g.Properties.Containers[0].Properties.Command = []*string{to.Ptr("/other")}
	c.create(t, "web", g)
	if w.runtime.latest("web").status.Id == first {
		t.Error("a change of the command did not replace the group")
	}
	g.Properties.Containers[0].Properties.Resources.Requests.CPU = to.Ptr(1.0)
	_, err := c.groups.BeginCreateOrUpdate(t.Context(), "rg", "web", g, nil)
	if code := refused(t, err); code != "InvalidContainerGroupUpdate" {
		t.Errorf("a change of CPU: %s", code)
	}
}

func TestStopAndStart(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	if _, err := c.groups.Stop(t.Context(), "rg", "web", nil); err != nil {
		t.Fatal(err)
	}
	sandboxes, _ := w.runtime.left()
	if got := c.get(t, "web"); state(got) != "Stopped" || *got.Properties.ProvisioningState != "Succeeded" || sandboxes != 0 {
		t.Errorf("stopped: %s, provisioning %s, %d sandboxes", state(got), *got.Properties.ProvisioningState, sandboxes)
	}
	poller, err := c.groups.BeginStart(t.Context(), "rg", "web", nil)
	if err == nil {
		_, err = poller.PollUntilDone(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.eventually(t, "web", "running", func(g *aci.ContainerGroup) bool { return state(g) == "Running" })
	first := w.runtime.latest("web").status.Id
	if _, err := c.groups.BeginRestart(t.Context(), "rg", "web", nil); err != nil {
		t.Fatal(err)
	}
	w.runtime.await(t, "another run", func() bool { r := w.runtime.running("web"); return r != nil && r.status.Id != first })
}

// TestRestartsInQuickSuccession restarts a group that is just being restarted.
// It keeps its sandbox, and so its directories.
func TestRestartsInQuickSuccession(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	asked, goOn := make(chan struct{}, 10), make(chan struct{})
	w.runtime.mu.Lock()
	w.runtime.listing = func() {
		asked <- struct{}{}
		<-goOn
	}
	w.runtime.mu.Unlock()
	restart := func() {
		if _, err := c.groups.BeginRestart(t.Context(), "rg", "web", nil); err != nil {
			t.Fatal(err)
		}
	}
	restart()
	<-asked // it is being taken over
	restart()
	close(goOn)
	w.runtime.await(t, "the second run", func() bool { r := w.runtime.running("web"); return r != nil && r.config.Metadata.Attempt == 1 })
	if history := w.runtime.history(); strings.Count(history, "run web") != 1 {
		t.Errorf("another sandbox was made: %s", history)
	}
}

// TestAGroupThatIsSeenToHaveEndedStarts asks for what is done with a group that
// has ended as soon as it is seen to have, while it is still being taken down.
func TestAGroupThatIsSeenToHaveEndedStarts(t *testing.T) {
	w := newWorld(t)
	ending, goOn := make(chan struct{}, 10), make(chan struct{})
	w.runtime.removing = func() {
		ending <- struct{}{}
		<-goOn
	}
	c := w.operate(t)
	job := sdkGroup(sdkContainer("job"))
	job.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "job", job)
	for what, ask := range map[string]func() error{
		"start":        func() error { _, err := c.groups.BeginStart(t.Context(), "rg", "job", nil); return err },
		"put the same": func() error { _, err := c.groups.BeginCreateOrUpdate(t.Context(), "rg", "job", job, nil); return err },
	} {
		w.runtime.finish(t, "job", 6, "")
		<-ending
		if got := state(c.get(t, "job")); got != "Failed" {
			t.Errorf("it is %s", got)
		}
		answered := make(chan error)
		go func() { answered <- ask() }()
		goOn <- struct{}{}
		if err := <-answered; err != nil {
			t.Errorf("%s: %v", what, err)
		}
		w.runtime.await(t, what, func() bool { return w.runtime.running("job") != nil })
	}
	close(goOn)
}

func TestTroubleBeforeTheFirstRun(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)

	absent := sdkGroup(sdkContainer("web"))
	absent.Properties.Containers[0].Properties.Image = to.Ptr("frankenetes.internal/absent:1")
	_, err := c.groups.BeginCreateOrUpdate(t.Context(), "rg", "absent", absent, nil)
	if code := refused(t, err); code != "InaccessibleImage" {
		t.Errorf("image that the cloud's registry lacks: %s", code)
	}

	for image, want := range map[string]string{"closed.example/web:1": "InaccessibleImage", "down.example/web:1": "RegistryErrorResponse"} {
		absent.Properties.Containers[0].Properties.Image = &image
		if err := c.put(t, "absent", absent); refused(t, err) != want || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %s", image, err, want)
		}
		if g := c.service.get(groupKey(testSub, "rg", "absent")); g != nil {
			t.Errorf("%s: a group was made", image)
		}
	}
	absent.Properties.Containers[0].Properties.Image = to.Ptr("closed.example/web:1")
	absent.Properties.ImageRegistryCredentials = []*aci.ImageRegistryCredential{{Server: to.Ptr("closed.example"), Username: to.Ptr("me"), Password: to.Ptr("secret")}}
	if err := c.put(t, "absent", absent); err != nil {
		t.Errorf("with the credential: %v", err)
	}

	foreign := sdkGroup(sdkContainer("web"))
	foreign.Properties.Containers[0].Properties.Image = to.Ptr("example.com/web:1")
	foreign.Properties.ImageRegistryCredentials = []*aci.ImageRegistryCredential{{Server: to.Ptr("example.com"), Username: to.Ptr("me"), Password: to.Ptr("secret")}}
	if _, err := c.groups.BeginCreateOrUpdate(t.Context(), "rg", "foreign", foreign, nil); err != nil {
		t.Fatal(err)
	}
	w.runtime.await(t, "a pull with the credential", func() bool {
		return strings.Contains(strings.Join(w.runtime.calls, " "), "pull example.com/web:1 as me")
	})
	c.eventually(t, "foreign", "told why", func(g *aci.ContainerGroup) bool {
		return state(g) == "Pending" && strings.Contains(*inside(g, 0).CurrentState.DetailStatus, "registry says no")
	})

	unmounted := sdkGroup(sdkContainer("web"))
	unmounted.Properties.Containers[0].Properties.VolumeMounts = []*aci.VolumeMount{{Name: to.Ptr("share"), MountPath: to.Ptr("/share")}}
	unmounted.Properties.Volumes = []*aci.Volume{{Name: to.Ptr("share"), AzureFile: &aci.AzureFileVolume{ShareName: to.Ptr("data"), StorageAccountName: to.Ptr("account"), StorageAccountKey: to.Ptr("d3Jvbmc=")}}}
	if _, err := c.groups.BeginCreateOrUpdate(t.Context(), "rg", "unmounted", unmounted, nil); err != nil {
		t.Fatal(err)
	}
	g := c.eventually(t, "unmounted", "told why", func(g *aci.ContainerGroup) bool { return len(g.Properties.InstanceView.Events) > 0 })
	if e := g.Properties.InstanceView.Events[0]; *e.Name != "FailedMount" || state(g) != "Pending" {
		t.Errorf("event %s, state %s", *e.Name, state(g))
	}
}

// addressOf returns the address of a group that runs.
func (c *client) addressOf(t *testing.T, name string) netip.Addr {
	t.Helper()
	d := c.service.get(groupKey(testSub, "rg", name)).live()
	return netip.MustParseAddr(d.status.snapshot().IP)
}

func TestIdentities(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	id := "/subscriptions/" + testSub + "/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/known"
	g := sdkGroup(sdkContainer("web"))
	g.Identity = &aci.ContainerGroupIdentity{Type: to.Ptr(aci.ResourceIdentityTypeUserAssigned), UserAssignedIdentities: map[string]*aci.UserAssignedIdentities{id: {}}}
	made := c.create(t, "web", g)
	if got := made.Identity.UserAssignedIdentities[id]; *got.ClientID != "client" || *got.PrincipalID != "principal" {
		t.Errorf("identity %v", got)
	}
	at := netip.MustParseAddr("10.77.0.1")
	for ; ; at = at.Next() {
		if ids, ok := c.service.IdentitiesAt(at); ok {
			if diff := cmp.Diff([]string{id}, ids); diff != "" {
				t.Error(diff)
			}
			break
		}
		if at == netip.MustParseAddr("10.77.0.50") {
			t.Fatal("no group has an address")
		}
	}
	w.identities.remake()
	if ids, ok := c.service.IdentitiesAt(at); !ok || len(ids) != 0 {
		t.Errorf("an identity that was made anew is the group's all the same: %v", ids)
	}
	g.Identity.UserAssignedIdentities = map[string]*aci.UserAssignedIdentities{strings.Replace(id, "known", "unknown", 1): {}}
	_, err := c.groups.BeginCreateOrUpdate(t.Context(), "rg", "other", g, nil)
	if code := refused(t, err); code != "FailedIdentityOperation" {
		t.Errorf("unknown identity: %s", code)
	}

	// One of its own comes with the group and goes with it, or before.
	own := sdkGroup(sdkContainer("web"))
	own.Identity = &aci.ContainerGroupIdentity{Type: to.Ptr(aci.ResourceIdentityTypeSystemAssigned)}
	made = c.create(t, "own", own)
	if *made.Identity.PrincipalID != "own-principal" || *made.Identity.TenantID != testTenant || w.identities.assigned() != 1 {
		t.Errorf("its own identity: %+v, %d in all", made.Identity, w.identities.assigned())
	}
	if ids, ok := c.service.IdentitiesAt(c.addressOf(t, "own")); !ok || !slices.Equal(ids, []string{*made.ID}) {
		t.Errorf("its address has the identities %v", ids)
	}
	own.Identity.Type = to.Ptr(aci.ResourceIdentityTypeNone)
	if made = c.create(t, "own", own); made.Identity.PrincipalID != nil || w.identities.assigned() != 0 {
		t.Errorf("given up: %+v, %d in all", made.Identity, w.identities.assigned())
	}
	own.Identity.Type = to.Ptr(aci.ResourceIdentityTypeSystemAssigned)
	c.create(t, "own", own)
	own.Properties.Containers[0].Properties.Image = to.Ptr("frankenetes.internal/absent:1")
	if _, err := c.groups.BeginCreateOrUpdate(t.Context(), "rg", "third", own, nil); refused(t, err) != "InaccessibleImage" || w.identities.assigned() != 1 {
		t.Errorf("after a refusal: %v, %d in all", err, w.identities.assigned())
	}
	c.delete(t, "own")
	if w.identities.assigned() != 0 {
		t.Error("the identity outlives its group")
	}
}
