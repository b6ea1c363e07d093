package groups

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/embedded/limits"
)

// used returns what the location says of a quota: taken, limit.
func (c *client) used(t *testing.T, name string) [2]int32 {
	t.Helper()
	for pager := c.locations.NewListUsagePager("Local", nil); pager.More(); {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Value {
			if *u.Name.Value == name {
				return [2]int32{*u.CurrentValue, *u.Limit}
			}
		}
	}
	t.Fatalf("the location does not know the quota %s", name)
	return [2]int32{}
}

func (c *client) limit(t *testing.T, words ...string) {
	t.Helper()
	l, err := limits.Parse(words)
	if err != nil {
		t.Fatal(err)
	}
	c.service.SetLimits(l)
}

// put tries to create a group, without waiting for it.
func (c *client) put(t *testing.T, name string, g aci.ContainerGroup) error {
	_, err := c.groups.BeginCreateOrUpdate(t.Context(), "rg", name, g, nil)
	return err
}

func TestQuotas(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	half := sdkGroup(sdkContainer("web")) // half a core
	c.create(t, "one", half)
	c.limit(t, "groups=3", "cores=1")
	c.create(t, "two", half)
	if got := [2][2]int32{c.used(t, "ContainerGroups"), c.used(t, "StandardCores")}; got != [2][2]int32{{2, 3}, {1, 1}} {
		t.Errorf("usage: %v", got)
	}

	var refusal *azcore.ResponseError
	err := c.put(t, "three", half)
	if !errors.As(err, &refusal) || refusal.StatusCode != 400 || refusal.ErrorCode != "ContainerGroupQuotaReached" ||
		!strings.Contains(err.Error(), "Resource type 'Microsoft.ContainerInstance/containerGroups' container group quota 'StandardCores' exceeded in region 'local'. Limit: '1', Usage: '1' Requested: '0.5'.") {
		t.Errorf("too many cores: %v", err)
	}
	// A stopped group has no cores, and needs them to start again.
	if _, err := c.groups.Stop(t.Context(), "rg", "one", nil); err != nil {
		t.Fatal(err)
	}
	c.create(t, "three", half)
	if _, err := c.groups.BeginStart(t.Context(), "rg", "one", nil); refused(t, err) != "ContainerGroupQuotaReached" {
		t.Errorf("start without cores: %v", err)
	}
	if got := c.used(t, "ContainerGroups"); got != [2]int32{3, 3} {
		t.Errorf("a stopped group is a group: %v", got)
	}
	c.limit(t, "groups=3", "cores=10")
	if err := c.put(t, "four", half); refused(t, err) != "ContainerGroupQuotaReached" || !strings.Contains(err.Error(), "'ContainerGroups'") {
		t.Errorf("too many groups: %v", err)
	}
	if w.zone.Has("four.local.azurecontainer.io") || c.service.get(groupKey(testSub, "rg", "four")) != nil {
		t.Error("something is left of a refused group")
	}
	// One that has ended has no cores either, and one that is deleted is none.
	c.delete(t, "two")
	job := sdkGroup(sdkContainer("job"))
	job.Properties.RestartPolicy = to.Ptr(aci.ContainerGroupRestartPolicyNever)
	c.create(t, "job", job)
	w.runtime.finish(t, "job", 0, "")
	c.eventually(t, "job", "succeeded", func(g *aci.ContainerGroup) bool { return state(g) == "Succeeded" })
	if got := [2][2]int32{c.used(t, "ContainerGroups"), c.used(t, "StandardCores")}; got != [2][2]int32{{3, 3}, {1, 10}} { // three's half core
		t.Errorf("usage: %v", got)
	}
}

func TestCapacity(t *testing.T) {
	c := newWorld(t).operate(t)
	c.limit(t, "capacity=0.7")
	c.create(t, "one", sdkGroup(sdkContainer("web")))
	err := c.put(t, "two", sdkGroup(sdkContainer("web")))
	var refusal *azcore.ResponseError
	if !errors.As(err, &refusal) || refusal.StatusCode != 409 || refusal.ErrorCode != "ServiceUnavailable" || !strings.Contains(err.Error(), "Resource requested: '0.5' CPU '0.5' GB memory 'Linux' OS") {
		t.Errorf("no capacity: %v", err)
	}
	// An update of what is there needs no more than it has.
	changed := sdkGroup(sdkContainer("web"))
	changed.Properties.Containers[0].Properties.Command = []*string{to.Ptr("/other")}
	c.create(t, "one", changed)
}

func TestRates(t *testing.T) {
	c := newWorld(t).operate(t)
	clock := time.Unix(1_000_000, 0)
	c.service.ledger.now = func() time.Time { return clock }
	c.limit(t, "creates=2/5m", "deletes=1/10m")
	g := sdkGroup(sdkContainer("web"))
	c.create(t, "one", g)
	c.create(t, "one", g) // as it is: nothing is deployed
	absent := sdkGroup(sdkContainer("web"))
	absent.Properties.Containers[0].Properties.Image = to.Ptr("frankenetes.internal/absent:1")
	if err := c.put(t, "two", absent); refused(t, err) != "InaccessibleImage" {
		t.Fatal(err)
	}
	c.create(t, "two", g)
	status, header, body := c.raw(t, "PUT", c.url+groupID(testSub, "rg", "three")+"?api-version=2023-05-01",
		`{"location":"local","properties":{"osType":"Linux","containers":[{"name":"a","properties":{"image":"`+testImage+`","resources":{"requests":{"cpu":1,"memoryInGB":1}}}}]}}`)
	if status != 429 || header.Get("Retry-After") != "300" || !strings.Contains(body, `"code":"TooManyRequests"`) {
		t.Errorf("the third: %d, Retry-After %s, %s", status, header.Get("Retry-After"), body)
	}
	clock = clock.Add(5 * time.Minute)
	c.create(t, "three", g)

	c.delete(t, "one")
	status, header, _ = c.raw(t, "DELETE", c.url+groupID(testSub, "rg", "two")+"?api-version=2023-05-01", "")
	if status != 429 || header.Get("Retry-After") != "600" {
		t.Errorf("the second delete: %d, Retry-After %s", status, header.Get("Retry-After"))
	}
	c.delete(t, "absent") // nothing to delete, nothing to count
	c.limit(t, limits.None)
	c.delete(t, "two")
}

func TestManyAtOncePassNoLimitTogether(t *testing.T) {
	c := newWorld(t).operate(t)
	c.limit(t, "cores=5", "creates=30/1h")
	var all sync.WaitGroup
	var made, refusals atomic.Int32
	for i := range 50 {
		all.Go(func() {
			err := c.put(t, fmt.Sprintf("group%d", i), sdkGroup(sdkContainer("web")))
			var refusal *azcore.ResponseError
			switch {
			case err == nil:
				made.Add(1)
			case errors.As(err, &refusal) && refusal.ErrorCode == "ContainerGroupQuotaReached":
				refusals.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made.Load() != 10 || refusals.Load() != 40 {
		t.Errorf("%d were made and %d refused", made.Load(), refusals.Load())
	}
	if got := c.used(t, "StandardCores"); got != [2]int32{5, 5} {
		t.Errorf("usage: %v", got)
	}
}

func TestLedgerAfterARestart(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "runs", sdkGroup(sdkContainer("web")))
	c.create(t, "rests", sdkGroup(sdkContainer("web")))
	if _, err := c.groups.Stop(t.Context(), "rg", "rests", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.service.Release(); err != nil {
		t.Fatal(err)
	}
	again := w.operate(t)
	if groups, cores, _ := again.service.ledger.usage(); groups != 2 || cores != 0.5 {
		t.Errorf("after a restart: %d groups, %v cores", groups, cores)
	}
}

func TestLocation(t *testing.T) {
	c := newWorld(t).operate(t)
	var capabilities []string
	for pager := c.locations.NewListCapabilitiesPager("local", nil); pager.More(); {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Value {
			capabilities = append(capabilities, fmt.Sprint(*v.OSType, " ", *v.IPAddressType, " ", *v.Location, " ", *v.Gpu, " ", *v.Capabilities.MaxCPU, " ", *v.Capabilities.MaxMemoryInGB))
		}
	}
	if diff := cmp.Diff([]string{"Linux Public local None 31 240", "Linux Private local None 31 240"}, capabilities); diff != "" {
		t.Error(diff)
	}
	var images []string
	for pager := c.locations.NewListCachedImagesPager("local", nil); pager.More(); {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.Value {
			images = append(images, *i.OSType+" "+*i.Image)
		}
	}
	if diff := cmp.Diff([]string{"Linux " + testImage}, images); diff != "" {
		t.Error(diff)
	}
	if _, err := c.locations.NewListUsagePager("mars", nil).NextPage(t.Context()); refused(t, err) != "LocationNotAvailableForResourceType" {
		t.Errorf("elsewhere: %v", err)
	}
	names := map[string]bool{}
	for pager := c.operations.NewListPager(nil); pager.More(); {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Value {
			names[*o.Name] = *o.Display.Operation != ""
		}
	}
	if !names["Microsoft.ContainerInstance/containerGroups/write"] {
		t.Errorf("operations: %v", names)
	}

	c.create(t, "web", sdkGroup(sdkContainer("web")))
	r, err := c.groups.GetOutboundNetworkDependenciesEndpoints(t.Context(), "rg", "web", nil)
	if err != nil || r.StringArray == nil || len(r.StringArray) > 0 {
		t.Errorf("outbound: %v, %v", r.StringArray, err)
	}
	_, err = c.groups.GetOutboundNetworkDependenciesEndpoints(t.Context(), "rg", "absent", nil)
	if refused(t, err) != "ResourceNotFound" {
		t.Errorf("of no group: %v", err)
	}
	for _, kind := range []string{"containerGroupProfiles", "ngroups"} {
		status, answer := c.send(t, "PUT", c.url+"/subscriptions/"+testSub+"/resourceGroups/rg/providers/Microsoft.ContainerInstance/"+kind+"/x?api-version=2025-09-01", "{}")
		if status != 404 || !strings.Contains(answer, "InvalidResourceType") {
			t.Errorf("%s: %d %s", kind, status, answer)
		}
	}
}
