package resources_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"frankenetes.dev/embedded/arm/armtest"
	"frankenetes.dev/embedded/identity"
)

const (
	subscription = "/subscriptions/" + armtest.Subscription
	version      = "?api-version=2022-04-01"
)

func code(err error) string {
	var e *azcore.ResponseError
	if errors.As(err, &e) {
		return e.ErrorCode
	}
	return ""
}

// clients are one principal's.
type clients struct {
	groups      *armresources.ResourceGroupsClient
	identities  *armmsi.UserAssignedIdentitiesClient
	assignments *armauthorization.RoleAssignmentsClient
	definitions *armauthorization.RoleDefinitionsClient
}

func newClients(t *testing.T, c *armtest.Cloud, cred azcore.TokenCredential) clients {
	t.Helper()
	groups, err1 := armresources.NewResourceGroupsClient(armtest.Subscription, cred, c.Options())
	identities, err2 := armmsi.NewUserAssignedIdentitiesClient(armtest.Subscription, cred, c.Options())
	assignments, err3 := armauthorization.NewRoleAssignmentsClient(armtest.Subscription, cred, c.Options())
	definitions, err4 := armauthorization.NewRoleDefinitionsClient(cred, c.Options())
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return clients{groups, identities, assignments, definitions}
}

func (c clients) group(t *testing.T, name string) {
	t.Helper()
	if _, err := c.groups.CreateOrUpdate(t.Context(), name, armresources.ResourceGroup{Location: to.Ptr("local")}, nil); err != nil {
		t.Fatal(err)
	}
}

func (c clients) identity(t *testing.T, group, name string) armmsi.Identity {
	t.Helper()
	made, err := c.identities.CreateOrUpdate(t.Context(), group, name, armmsi.Identity{Location: to.Ptr("local")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made.Identity
}

// assign gives an identity a role at a scope and returns the assignment's name.
func (c clients) assign(ctx context.Context, scope string, role identity.Role, who armmsi.Identity) (string, error) {
	name := uuid.NewString()
	_, err := c.assignments.Create(ctx, scope, name, armauthorization.RoleAssignmentCreateParameters{
		Properties: &armauthorization.RoleAssignmentProperties{
			RoleDefinitionID: to.Ptr(subscription + "/providers/Microsoft.Authorization/roleDefinitions/" + string(role)),
			PrincipalID:      who.Properties.PrincipalID,
		},
	}, nil)
	return name, err
}

func TestLifeOfAnIdentity(t *testing.T) {
	cloud := armtest.Start(t)
	c := newClients(t, cloud, cloud.Owner(t))
	c.group(t, "g")
	made := c.identity(t, "g", "Node")
	if *made.Name != "Node" || *made.Type != "Microsoft.ManagedIdentity/userAssignedIdentities" || *made.Properties.TenantID != armtest.Tenant {
		t.Errorf("made %+v", made)
	}
	again := c.identity(t, "g", "node")
	if diff := cmp.Diff(made, again); diff != "" {
		t.Errorf("made again: %s", diff)
	}
	patched, err := c.identities.Update(t.Context(), "g", "Node", armmsi.IdentityUpdate{Tags: map[string]*string{"a": to.Ptr("b")}}, nil)
	if err != nil || *patched.Tags["a"] != "b" || *patched.Properties.ClientID != *made.Properties.ClientID {
		t.Errorf("patched: %+v, %v", patched, err)
	}
	page, err := c.identities.NewListBySubscriptionPager(nil).NextPage(t.Context())
	if err != nil || len(page.Value) != 1 {
		t.Errorf("listed: %+v, %v", page, err)
	}
	if _, err := c.identities.Delete(t.Context(), "g", "Node", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.identities.Get(t.Context(), "g", "Node", nil); code(err) != "ResourceNotFound" {
		t.Errorf("after its deletion: %v", err)
	}
	if _, err := c.identities.Delete(t.Context(), "g", "Node", nil); err != nil {
		t.Errorf("second deletion: %v", err)
	}
}

func TestTheIdentityOfAResourcesOwn(t *testing.T) {
	cloud := armtest.Start(t)
	owner := newClients(t, cloud, cloud.Owner(t))
	owner.group(t, "g")
	id := subscription + "/resourceGroups/g/providers/Microsoft.ContainerInstance/containerGroups/web"
	principal, _, err := cloud.Authority.AssignSystem(id)
	if err != nil {
		t.Fatal(err)
	}
	client, err := armmsi.NewSystemAssignedIdentitiesClient(cloud.Owner(t), cloud.Options())
	if err != nil {
		t.Fatal(err)
	}
	own, err := client.GetByScope(t.Context(), id, nil)
	if err != nil || *own.Properties.PrincipalID != principal || *own.Properties.ClientID == "" || *own.Properties.TenantID != armtest.Tenant {
		t.Errorf("%+v, %v", own, err)
	}
	if _, err := client.GetByScope(t.Context(), id+"2", nil); code(err) != "ResourceNotFound" {
		t.Errorf("of one that has none: %v", err)
	}
	stranger := owner.identity(t, "g", "stranger")
	client, err = armmsi.NewSystemAssignedIdentitiesClient(cloud.As(t, *stranger.ID), cloud.Options())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.GetByScope(t.Context(), id, nil); code(err) != "AuthorizationFailed" {
		t.Errorf("asked by a stranger: %v", err)
	}
}

func TestRolesSayWhatAnIdentityMayDo(t *testing.T) {
	cloud := armtest.Start(t)
	owner := newClients(t, cloud, cloud.Owner(t))
	owner.group(t, "mine")
	owner.group(t, "other")
	for _, test := range []struct {
		role                identity.Role
		read, write, assign bool
	}{
		{identity.Reader, true, false, false},
		{identity.Contributor, true, true, false},
		{identity.Owner, true, true, true},
	} {
		t.Run(test.role.Name(), func(t *testing.T) {
			who := owner.identity(t, "other", "as-"+test.role.Name())
			c := newClients(t, cloud, cloud.As(t, *who.ID))
			if _, err := c.groups.Get(t.Context(), "mine", nil); code(err) != "AuthorizationFailed" {
				t.Errorf("before it has a role: %v", err)
			}
			if _, err := owner.assign(t.Context(), subscription+"/resourceGroups/MINE", test.role, who); err != nil {
				t.Fatal(err)
			}
			check := func(what string, allowed bool, err error) {
				t.Helper()
				if allowed && err != nil || !allowed && code(err) != "AuthorizationFailed" {
					t.Errorf("%s (allowed: %v): %v", what, allowed, err)
				}
			}
			_, err := c.groups.Get(t.Context(), "mine", nil)
			check("read the group", test.read, err)
			_, err = c.groups.Update(t.Context(), "mine", armresources.ResourceGroupPatchable{}, nil)
			check("write the group", test.write, err)
			_, err = c.identities.CreateOrUpdate(t.Context(), "mine", "made", armmsi.Identity{Location: to.Ptr("local")}, nil)
			check("write in the group", test.write, err)
			_, err = c.assign(t.Context(), subscription+"/resourceGroups/mine", identity.Reader, who)
			check("assign a role in the group", test.assign, err)
			_, err = c.assign(t.Context(), subscription, identity.Owner, who)
			check("assign a role in the subscription", false, err)
			_, err = c.groups.Get(t.Context(), "other", nil)
			check("read another group", false, err)
			_, err = c.groups.CreateOrUpdate(t.Context(), "third", armresources.ResourceGroup{Location: to.Ptr("local")}, nil)
			check("make a group", false, err)
		})
	}
}

func TestListsShowWhatTheirReaderMaySee(t *testing.T) {
	cloud := armtest.Start(t)
	owner := newClients(t, cloud, cloud.Owner(t))
	owner.group(t, "mine")
	owner.group(t, "mine-too-not")
	who := owner.identity(t, "mine", "reader")
	owner.identity(t, "mine-too-not", "hidden")
	c := newClients(t, cloud, cloud.As(t, *who.ID))
	subscriptions := func() string {
		return cloud.Do(t, cloud.As(t, *who.ID), http.MethodGet, "/subscriptions"+version, "").Body
	}
	if got := subscriptions(); got != `{"value":[]}` {
		t.Errorf("without a role it sees subscriptions: %s", got)
	}
	if _, err := owner.assign(t.Context(), subscription+"/resourceGroups/mine", identity.Reader, who); err != nil {
		t.Fatal(err)
	}
	if got := subscriptions(); got == `{"value":[]}` {
		t.Error("with a role it sees no subscription")
	}
	groups, err := c.groups.NewListPager(nil).NextPage(t.Context())
	if err != nil || len(groups.Value) != 1 || *groups.Value[0].Name != "mine" {
		t.Errorf("it sees groups %+v, %v", groups.Value, err)
	}
	identities, err := c.identities.NewListBySubscriptionPager(nil).NextPage(t.Context())
	if err != nil || len(identities.Value) != 1 || *identities.Value[0].Name != "reader" {
		t.Errorf("it sees identities %+v, %v", identities.Value, err)
	}
}

func TestLifeOfARoleAssignment(t *testing.T) {
	cloud := armtest.Start(t)
	c := newClients(t, cloud, cloud.Owner(t))
	c.group(t, "g")
	who, scope := c.identity(t, "g", "node"), subscription+"/resourceGroups/g"
	name, err := c.assign(t.Context(), scope, identity.Reader, who)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.assignments.Get(t.Context(), scope, name, nil)
	if err != nil || *got.Properties.Scope != scope || *got.Properties.PrincipalID != *who.Properties.PrincipalID {
		t.Errorf("got %+v, %v", got.Properties, err)
	}
	if _, err := c.assign(t.Context(), scope, identity.Reader, who); code(err) != "RoleAssignmentExists" {
		t.Errorf("the same again: %v", err)
	}
	count := func(filter string) int {
		filter = url.PathEscape(filter) // this client sends it as it is
		page, err := c.assignments.NewListForScopePager(scope, &armauthorization.RoleAssignmentsClientListForScopeOptions{Filter: &filter}).NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(page.Value)
	}
	if n := count("principalId eq '" + *who.Properties.PrincipalID + "'"); n != 1 {
		t.Errorf("it has %d assignments", n)
	}
	if n := count("atScope()"); n != 2 { // the operator's comes from the subscription
		t.Errorf("the group has %d assignments", n)
	}
	for range 2 {
		if _, err := c.assignments.Delete(t.Context(), scope, name, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.assignments.Get(t.Context(), scope, name, nil); code(err) != "RoleAssignmentNotFound" {
		t.Errorf("after its deletion: %v", err)
	}
}

func TestRightsEndWithWhatTheyAreFor(t *testing.T) {
	cloud := armtest.Start(t)
	c := newClients(t, cloud, cloud.Owner(t))
	c.group(t, "g")
	c.group(t, "h")
	who := c.identity(t, "h", "node")
	scope := subscription + "/resourceGroups/g"
	if _, err := c.assign(t.Context(), scope, identity.Reader, who); err != nil {
		t.Fatal(err)
	}
	reader := newClients(t, cloud, cloud.As(t, *who.ID))
	if _, err := reader.groups.Get(t.Context(), "g", nil); err != nil {
		t.Fatal(err)
	}
	remove := func(group string) {
		t.Helper()
		poller, err := c.groups.BeginDelete(t.Context(), group, nil)
		if err == nil {
			_, err = poller.PollUntilDone(t.Context(), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	remove("g")
	c.group(t, "g")
	if _, err := reader.groups.Get(t.Context(), "g", nil); code(err) != "AuthorizationFailed" {
		t.Errorf("a new group of the same name: %v", err)
	}
	if _, err := c.assign(t.Context(), scope, identity.Reader, who); err != nil {
		t.Fatal(err)
	}
	remove("h") // with the identity in it
	if _, err := reader.groups.Get(t.Context(), "g", nil); code(err) != "AuthorizationFailed" {
		t.Errorf("with the token of an identity that is gone: %v", err)
	}
	if _, err := c.assign(t.Context(), scope, identity.Contributor, who); code(err) != "PrincipalNotFound" {
		t.Errorf("a role for an identity that is gone: %v", err)
	}
}

func TestBadAssignments(t *testing.T) {
	cloud := armtest.Start(t)
	token := cloud.OwnerToken(t)
	c := newClients(t, cloud, cloud.Owner(t))
	c.group(t, "g")
	who := *c.identity(t, "g", "node").Properties.PrincipalID
	const provider, name = "/providers/Microsoft.Authorization/roleAssignments/", "44444444-4444-4444-8444-444444444444"
	reader := `"roleDefinitionId":"/x/` + string(identity.Reader) + `"`
	for _, test := range []struct{ name, path, body, want string }{
		{"a name that is no GUID", subscription + provider + "hello", `{"properties":{` + reader + `,"principalId":"` + who + `"}}`, "InvalidRoleAssignmentId"},
		{"no role", subscription + provider + name, `{"properties":{"principalId":"` + who + `"}}`, "RoleDefinitionDoesNotExist"},
		{"no principal", subscription + provider + name, `{"properties":{` + reader + `}}`, "PrincipalNotFound"},
		{"no such group", subscription + "/resourceGroups/none" + provider + name, `{"properties":{` + reader + `,"principalId":"` + who + `"}}`, "ResourceGroupNotFound"},
		{"no scope", subscription + "/elsewhere" + provider + name, `{"properties":{` + reader + `,"principalId":"` + who + `"}}`, "InvalidScope"},
		{"not our scope", "/subscriptions/other" + provider + name, `{"properties":{` + reader + `,"principalId":"` + who + `"}}`, "AuthorizationFailed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if a := cloud.Do(t, token, http.MethodPut, test.path+version, test.body); a.Code() != test.want {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
		})
	}
}

func TestRoleDefinitionsCanBeFoundByName(t *testing.T) {
	cloud := armtest.Start(t)
	c := newClients(t, cloud, cloud.Owner(t))
	page, err := c.definitions.NewListPager(subscription, &armauthorization.RoleDefinitionsClientListOptions{
		Filter: to.Ptr("roleName eq 'Contributor'"),
	}).NextPage(t.Context())
	if err != nil || len(page.Value) != 1 || *page.Value[0].Name != string(identity.Contributor) {
		t.Fatalf("got %+v, %v", page.Value, err)
	}
	got, err := c.definitions.GetByID(t.Context(), *page.Value[0].ID, nil)
	if err != nil || *got.Properties.RoleName != "Contributor" {
		t.Errorf("got %+v, %v", got.Properties, err)
	}
}
