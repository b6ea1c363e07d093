package arm_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/arm/armtest"
	"frankenetes.dev/embedded/identity"
)

const identities = "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/"

// put makes something with a plain body.
func put(t *testing.T, c *armtest.Cloud, path, body string) {
	t.Helper()
	answer := c.Do(t, c.OwnerToken(t), http.MethodPut, path+"?api-version=2023-01-31", body)
	if answer.Status >= http.StatusBadRequest {
		t.Fatalf("PUT %s: %d %s", path, answer.Status, answer.Body)
	}
}

// twoGroups is a cloud with two resource groups: red and two blue identities,
// one of which has a tag.
func twoGroups(t *testing.T) *armtest.Cloud {
	t.Helper()
	c := armtest.Start(t)
	const body = `{"location":"local"}`
	put(t, c, base+"/resourcegroups/Red", body)
	put(t, c, base+"/resourcegroups/blue", body)
	put(t, c, base+"/resourceGroups/Red"+identities+"crimson", body)
	put(t, c, base+"/resourceGroups/blue"+identities+"navy", body)
	put(t, c, base+"/resourceGroups/blue"+identities+"sky", `{"location":"local","tags":{"weather":"fine"}}`)
	return c
}

// listed lists resources and returns their names.
func listed(t *testing.T, c *armtest.Cloud, token armtest.Token, path, filter string) []string {
	t.Helper()
	answer := c.Do(t, token, http.MethodGet, path+"?api-version=2021-04-01&$filter="+url.QueryEscape(filter), "")
	var list arm.List[arm.Resource]
	if err := json.Unmarshal([]byte(answer.Body), &list); err != nil || answer.Status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", path, filter, answer.Status, answer.Body)
	}
	got := []string{}
	for _, r := range list.Value {
		got = append(got, r.Name)
	}
	slices.Sort(got)
	return got
}

func TestResourcesOfEveryKindAreListedTogether(t *testing.T) {
	c := twoGroups(t)
	for _, test := range []struct {
		path, filter string
		want         []string
	}{
		{"/resources", "", []string{"crimson", "navy", "sky"}},
		{"/resources", "resourceGroup eq 'RED'", []string{"crimson"}},
		{"/resources", "resourceType eq 'microsoft.managedidentity/userassignedidentities' and name eq 'Navy'", []string{"navy"}},
		{"/resources", "resourceType eq 'Microsoft.ContainerInstance/containerGroups'", []string{}},
		{"/resources", "tagName eq 'weather' and tagValue eq 'fine'", []string{"sky"}},
		{"/resources", "tagname eq 'weather' and tagvalue eq 'bad'", []string{}},
		{"/resources", "substringof('a', name) and location eq 'local'", []string{"navy"}},
		{"/resourceGroups/blue/resources", "", []string{"navy", "sky"}},
	} {
		if diff := cmp.Diff(test.want, listed(t, c, c.OwnerToken(t), base+test.path, test.filter)); diff != "" {
			t.Errorf("%s %s: %s", test.path, test.filter, diff)
		}
	}
	for _, filter := range []string{"colour eq 'red'", "name like 'x'", "name eq 'x' or name eq 'y'"} {
		answer := c.Do(t, c.OwnerToken(t), http.MethodGet, base+"/resources?api-version=2021-04-01&$filter="+url.QueryEscape(filter), "")
		if answer.Code() != "InvalidFilterInQueryString" {
			t.Errorf("%s: %d %s", filter, answer.Status, answer.Body)
		}
	}
}

// TestOnePrincipalSeesNothingOfAnothers goes through what one who may do
// everything in one group gets to hear about the other.
func TestOnePrincipalSeesNothingOfAnothers(t *testing.T) {
	c := twoGroups(t)
	p, _, err := c.Authority.Register("painter")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Authority.Assign(identity.RoleAssignment{Scope: base + "/resourceGroups/blue", Name: "n", Role: identity.Owner, PrincipalID: p.ObjectID})
	if err != nil {
		t.Fatal(err)
	}
	painter := c.Of(t, identity.Principal{ObjectID: p.ObjectID, ClientID: p.ClientID})
	if diff := cmp.Diff([]string{"navy", "sky"}, listed(t, c, painter, base+"/resources", "")); diff != "" {
		t.Error(diff)
	}
	groups := listed(t, c, painter, base+"/resourcegroups", "")
	if diff := cmp.Diff([]string{"blue"}, groups); diff != "" {
		t.Error(diff)
	}
	const red = base + "/resourceGroups/Red"
	for _, request := range []string{
		"GET " + red, "HEAD " + red, "PUT " + red, "PATCH " + red, "DELETE " + red, "GET " + red + "/resources",
		"GET " + red + identities + "crimson", "PUT " + red + identities + "crimson", "DELETE " + red + identities + "crimson",
		"GET " + red + strings.TrimSuffix(identities, "/"), "GET " + red + identities + "none",
		"PUT " + red + "/providers/Microsoft.Authorization/roleAssignments/" + armtest.Tenant,
		"PUT " + base + "/providers/Microsoft.Authorization/roleAssignments/" + armtest.Tenant,
		"GET " + base + "/resourceGroups/none",
	} {
		method, path, _ := strings.Cut(request, " ")
		answer := c.Do(t, painter, method, path+"?api-version=2021-04-01", `{"location":"local"}`)
		if answer.Status != http.StatusForbidden || method != http.MethodHead && answer.Code() != "AuthorizationFailed" {
			t.Errorf("%s: %d %s", request, answer.Status, answer.Body)
		}
	}
}
