package arm_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/arm/armtest"
)

func groupsClient(t *testing.T, c *armtest.Cloud, cred azcore.TokenCredential) *armresources.ResourceGroupsClient {
	t.Helper()
	client, err := armresources.NewResourceGroupsClient(armtest.Subscription, cred, c.Options())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// code returns the code of an SDK error.
func code(err error) string {
	var e *azcore.ResponseError
	if errors.As(err, &e) {
		return e.ErrorCode
	}
	return ""
}

func names(t *testing.T, client *armresources.ResourceGroupsClient, filter *string) []string {
	t.Helper()
	found := []string{}
	pager := client.NewListPager(&armresources.ResourceGroupsClientListOptions{Filter: filter})
	for pager.More() {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range page.Value {
			found = append(found, *group.Name)
		}
	}
	return found
}

func TestLifeOfAResourceGroup(t *testing.T) {
	c := armtest.Start(t)
	client := groupsClient(t, c, c.Owner(t))
	ctx := t.Context()

	created, err := client.CreateOrUpdate(ctx, "My-Group", armresources.ResourceGroup{
		Location: to.Ptr("Local"), Tags: map[string]*string{"team": to.Ptr("a")},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := armresources.ResourceGroup{
		ID: to.Ptr(base + "/resourceGroups/My-Group"), Name: to.Ptr("My-Group"), Type: to.Ptr("Microsoft.Resources/resourceGroups"),
		Location: to.Ptr("local"), Tags: map[string]*string{"team": to.Ptr("a")},
		Properties: &armresources.ResourceGroupProperties{ProvisioningState: to.Ptr("Succeeded")},
	}
	if diff := cmp.Diff(want, created.ResourceGroup); diff != "" {
		t.Errorf("created: %s", diff)
	}
	got, err := client.Get(ctx, "my-group", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.ResourceGroup); diff != "" {
		t.Errorf("asked for in another case: %s", diff)
	}
	patched, err := client.Update(ctx, "My-Group", armresources.ResourceGroupPatchable{Tags: map[string]*string{"env": to.Ptr("b")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]*string{"env": to.Ptr("b")}, patched.Tags); diff != "" {
		t.Errorf("patched: %s", diff)
	}
	if exists, err := client.CheckExistence(ctx, "My-Group", nil); err != nil || !exists.Success {
		t.Errorf("exists: %v %v", exists, err)
	}
	poller, err := client.BeginDelete(ctx, "My-Group", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := poller.PollUntilDone(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if exists, err := client.CheckExistence(ctx, "My-Group", nil); err != nil || exists.Success {
		t.Errorf("exists after its deletion: %v %v", exists, err)
	}
	if _, err := client.BeginDelete(ctx, "My-Group", nil); code(err) != "ResourceGroupNotFound" {
		t.Errorf("second deletion: %v", err)
	}
}

func TestBadResourceGroups(t *testing.T) {
	c, token := startWithGroup(t)
	for _, test := range []struct{ name, group, body, want string }{
		{"no location", "h", `{}`, "LocationRequired"},
		{"elsewhere", "g", `{"location":"mars"}`, "InvalidResourceGroupLocation"},
		{"a dot at the end", "h.", `{"location":"local"}`, "InvalidResourceGroup"},
		{"a star", "h*", `{"location":"local"}`, "InvalidResourceGroup"},
		{"a slash", "h%2Fi", `{"location":"local"}`, "InvalidRequestUri"},
		{"a long tag", "h", `{"location":"local","tags":{"a":"` + string(make257()) + `"}}`, "InvalidTagValue"},
		{"tags that are a list", "h", `{"location":"local","tags":[]}`, "InvalidRequestContent"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := c.Do(t, token, http.MethodPut, base+"/resourcegroups/"+test.group+version, test.body)
			if a.Code() != test.want || a.Status >= 500 {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
		})
	}
}

func make257() []byte {
	b := make([]byte, 257)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

func TestGroupsCanBeFoundByTag(t *testing.T) {
	c := armtest.Start(t)
	client := groupsClient(t, c, c.Owner(t))
	for name, tags := range map[string]map[string]*string{
		"a": {"cluster": to.Ptr("one")}, "b": {"cluster": to.Ptr("two")}, "c": nil,
	} {
		if _, err := client.CreateOrUpdate(t.Context(), name, armresources.ResourceGroup{Location: to.Ptr("local"), Tags: tags}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, names(t, client, nil)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a", "b"}, names(t, client, to.Ptr("tagName eq 'cluster'"))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"b"}, names(t, client, to.Ptr("tagName eq 'cluster' and tagValue eq 'two'"))); diff != "" {
		t.Error(diff)
	}
}

func TestDeletionWaitsForItsHooksAndShutsTheDoor(t *testing.T) {
	running, release := make(chan string, 2), make(chan struct{})
	hook := func(_ context.Context, _, rg string) error {
		running <- rg
		<-release
		return nil
	}
	c := armtest.Start(t, things, func(c *armtest.Cloud) {
		c.ARM.OnDeleteResourceGroup(hook)
		c.ARM.OnDeleteResourceGroup(hook)
	})
	client, token := groupsClient(t, c, c.Owner(t)), c.OwnerToken(t)
	if _, err := client.CreateOrUpdate(t.Context(), "g", armresources.ResourceGroup{Location: to.Ptr("local")}, nil); err != nil {
		t.Fatal(err)
	}
	poller, err := client.BeginDelete(t.Context(), "g", nil)
	if err != nil {
		t.Fatal(err)
	}
	// Both run at once, or the second would never come.
	if first, second := <-running, <-running; first != "g" || second != "g" {
		t.Errorf("hooks were called for %q and %q", first, second)
	}
	if a := c.Do(t, token, http.MethodPut, base+"/resourceGroups/g"+thing+version, "{}"); a.Code() != "ResourceGroupBeingDeleted" {
		t.Errorf("write to a group that is going: %d %s", a.Status, a.Body)
	}
	if a := c.Do(t, token, http.MethodGet, base+"/resourceGroups/g"+thing+version, ""); a.Status != http.StatusOK {
		t.Errorf("read from a group that is going: %d %s", a.Status, a.Body)
	}
	again, err := client.BeginDelete(t.Context(), "g", nil)
	if err != nil {
		t.Fatalf("second deletion: %v", err)
	}
	close(release)
	for _, p := range []interface {
		PollUntilDone(context.Context, *pollOptions) (armresources.ResourceGroupsClientDeleteResponse, error)
	}{poller, again} {
		if _, err := p.PollUntilDone(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
	select {
	case <-running:
		t.Error("the second deletion ran the hooks again")
	default:
	}
}

func TestAGroupThatCannotBeEmptiedStays(t *testing.T) {
	var once sync.Once
	c := armtest.Start(t, func(c *armtest.Cloud) {
		c.ARM.OnDeleteResourceGroup(func(context.Context, string, string) (err error) {
			once.Do(func() { err = arm.Conflict("StillInUse", "Something is in use.") })
			return err
		})
	})
	client := groupsClient(t, c, c.Owner(t))
	if _, err := client.CreateOrUpdate(t.Context(), "g", armresources.ResourceGroup{Location: to.Ptr("local")}, nil); err != nil {
		t.Fatal(err)
	}
	deletion := func() error {
		poller, err := client.BeginDelete(t.Context(), "g", nil)
		if err == nil {
			_, err = poller.PollUntilDone(t.Context(), nil)
		}
		return err
	}
	if err := deletion(); code(err) != "StillInUse" {
		t.Errorf("first deletion: %v", err)
	}
	if group, err := client.Get(t.Context(), "g", nil); err != nil || *group.Properties.ProvisioningState != "Succeeded" {
		t.Errorf("the group after it: %v", err)
	}
	if err := deletion(); err != nil {
		t.Errorf("second deletion: %v", err)
	}
}

func TestWhatOthersStandOnIsDeletedLast(t *testing.T) {
	var failure error
	var order []string
	hook := func(name string) func(context.Context, string, string) error {
		return func(context.Context, string, string) error {
			order = append(order, name)
			return failure
		}
	}
	c := armtest.Start(t, func(c *armtest.Cloud) {
		c.ARM.OnDeleteResourceGroupLast(hook("network"))
		c.ARM.OnDeleteResourceGroup(hook("groups"))
	})
	client := groupsClient(t, c, c.Owner(t))
	if _, err := client.CreateOrUpdate(t.Context(), "g", armresources.ResourceGroup{Location: to.Ptr("local")}, nil); err != nil {
		t.Fatal(err)
	}
	deletion := func() error {
		poller, err := client.BeginDelete(t.Context(), "g", nil)
		if err == nil {
			_, err = poller.PollUntilDone(t.Context(), nil)
		}
		return err
	}
	failure = arm.Conflict("StillInUse", "Something is in use.")
	if err := deletion(); code(err) != "StillInUse" {
		t.Errorf("first deletion: %v", err)
	}
	if got := strings.Join(order, " "); got != "groups" {
		t.Errorf("when what comes first failed, called: %s", got)
	}
	failure, order = nil, nil
	if err := deletion(); err != nil {
		t.Errorf("second deletion: %v", err)
	}
	if got := strings.Join(order, " "); got != "groups network" {
		t.Errorf("called: %s", got)
	}
}

func TestADeletionOutlivesTheDaemon(t *testing.T) {
	stopped := make(chan struct{})
	c := armtest.Start(t, func(c *armtest.Cloud) {
		c.ARM.OnDeleteResourceGroup(func(ctx context.Context, _, _ string) error {
			<-ctx.Done()
			close(stopped)
			return ctx.Err()
		})
	})
	client := groupsClient(t, c, c.Owner(t))
	if _, err := client.CreateOrUpdate(t.Context(), "g", armresources.ResourceGroup{Location: to.Ptr("local")}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.BeginDelete(t.Context(), "g", nil); err != nil {
		t.Fatal(err)
	}
	c.ARM.Close()
	<-stopped

	hooked := make(chan string, 1)
	next := arm.New(arm.Options{Store: c.Store, Verifier: c.Authority, Subscription: armtest.Subscription,
		Tenant: armtest.Tenant, Location: armtest.Location, Log: c.Log})
	next.OnDeleteResourceGroup(func(_ context.Context, _, rg string) error {
		hooked <- rg
		return nil
	})
	if err := next.ResumeDeletions(); err != nil {
		t.Fatal(err)
	}
	select {
	case rg := <-hooked:
		if rg != "g" {
			t.Errorf("resumed the deletion of %q", rg)
		}
	case <-time.After(time.Minute):
		t.Error("the deletion did not go on")
	}
	next.Close()
}

func TestDeletionWaitsForWritesUnderWay(t *testing.T) {
	entered, release, order := make(chan struct{}), make(chan struct{}), make(chan string, 2)
	c := armtest.Start(t, func(c *armtest.Cloud) {
		c.ARM.Handle(http.MethodPut, "/subscriptions/{sub}/resourceGroups/{rg}/providers/Test.Provider/things/{name}", "Test.Provider/things/write",
			func(context.Context, *arm.Request) (*arm.Response, error) {
				close(entered)
				<-release
				order <- "write"
				return &arm.Response{Status: http.StatusCreated}, nil
			})
		c.ARM.OnDeleteResourceGroup(func(context.Context, string, string) error {
			order <- "hook"
			return nil
		})
	})
	client, token := groupsClient(t, c, c.Owner(t)), c.OwnerToken(t)
	if _, err := client.CreateOrUpdate(t.Context(), "g", armresources.ResourceGroup{Location: to.Ptr("local")}, nil); err != nil {
		t.Fatal(err)
	}
	written := make(chan armtest.Answer, 1)
	go func() {
		written <- c.Do(t, token, http.MethodPut, base+"/resourceGroups/g"+thing+version, "{}")
	}()
	<-entered
	poller, err := client.BeginDelete(t.Context(), "g", nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Do(t, token, http.MethodPut, base+"/resourceGroups/g"+thing+version, "{}"); a.Code() != "ResourceGroupBeingDeleted" {
		t.Errorf("a second write: %d %s", a.Status, a.Body)
	}
	close(release)
	if a := <-written; a.Status != http.StatusCreated {
		t.Errorf("the first write: %d %s", a.Status, a.Body)
	}
	if _, err := poller.PollUntilDone(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if first, second := <-order, <-order; first != "write" || second != "hook" {
		t.Errorf("the order was %s, %s", first, second)
	}
}
