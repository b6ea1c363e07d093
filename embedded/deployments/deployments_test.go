package deployments_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/embedded/arm/armtest"
	"frankenetes.dev/embedded/deployments"
	"frankenetes.dev/embedded/identity"
)

const (
	group   = "/subscriptions/" + armtest.Subscription + "/resourceGroups/g"
	version = "?api-version=2021-04-01"
	path    = group + "/providers/Microsoft.Resources/deployments/d"
	made    = group + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/"
)

func start(t *testing.T) *armtest.Cloud {
	t.Helper()
	c := armtest.Start(t, func(c *armtest.Cloud) {
		err := deployments.Register(c.ARM, deployments.Options{Store: c.Store, Tenant: armtest.Tenant, Log: c.Log})
		if err != nil {
			t.Fatal(err)
		}
	})
	if a := c.Do(t, c.OwnerToken(t), http.MethodPut, group+version, `{"location":"local","tags":{"colour":"red"}}`); a.Status != http.StatusCreated {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	return c
}

// shown is a deployment as a client sees it.
type shown struct {
	Properties struct {
		ProvisioningState string
		Parameters        map[string]map[string]any
		Outputs           map[string]struct {
			Type  string
			Value any
		}
		OutputResources []struct{ ID string }
		Error           struct {
			Code    string
			Details []struct{ Code, Message, Target string }
		}
	}
}

// deploy sends a deployment and waits for its end.
func deploy(t *testing.T, c *armtest.Cloud, token armtest.Token, body string) shown {
	t.Helper()
	a := c.Do(t, token, http.MethodPut, path+version, body)
	if a.Status != http.StatusCreated && a.Status != http.StatusOK {
		t.Fatalf("PUT: %d %s", a.Status, a.Body)
	}
	ended(t, c, token, a)
	var d shown
	a = c.Do(t, token, http.MethodGet, path+version, "")
	if err := json.Unmarshal([]byte(a.Body), &d); err != nil {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	return d
}

// asAzSends is a body as az 2.45 makes it of a template's file: it is no JSON.
const asAzSends = `{"properties": {"parameters": {"who": {"value": "ann"}, "password": {"value": "hunter2"}}, "mode": "Incremental", template:{
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", // a comment
  "parameters": {
    "who": {"type": "string", "allowedValues": ["ann", "bob"]},
    "where": {"type": "string", "defaultValue": "[resourceGroup().location]"},
    "password": {"type": "securestring"},
  },
  /* and
     another */
  "variables": {"full": "[concat(variables('prefix'), parameters('who'))]", "prefix": "id-"},
  "resources": [
    {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "last", "location": "[parameters('where')]",
     "tags": {"first": "[reference(variables('full')).clientId]", "note": "[[not an expression]"}},
    {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "[variables('full')]", "location": "local"},
    {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "never", "location": "local",
     "condition": "[equals(parameters('who'), 'bob')]"},
    {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "[concat('copy', copyIndex())]", "location": "local",
     "copy": {"name": "loop", "count": 2}, "dependsOn": ["[resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'last')]", "never"]}
  ],
  "outputs": {
    "principal": {"type": "string", "value": "[reference(resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', variables('full')), '2023-01-31').principalId]"},
    "colour": {"type": "string", "value": "[resourceGroup().tags.colour]"},
    "hidden": {"type": "securestring", "value": "[parameters('password')]"}
  }
}}}`

func TestATemplateIsMade(t *testing.T) {
	c := start(t)
	token := c.OwnerToken(t)
	if a := c.Do(t, token, http.MethodPost, path+"/validate"+version, asAzSends); a.Status != http.StatusOK {
		t.Fatalf("validate: %d %s", a.Status, a.Body)
	}
	d := deploy(t, c, token, asAzSends)
	if d.Properties.ProvisioningState != "Succeeded" {
		t.Fatalf("%+v", d)
	}
	first, err := c.Authority.UserAssigned(made + "id-ann")
	if err != nil {
		t.Fatal(err)
	}
	last, err := c.Authority.UserAssigned(made + "last")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"first": first.ClientID, "note": "[not an expression]"}
	if diff := cmp.Diff(want, last.Tags); diff != "" {
		t.Error(diff)
	}
	var ids []string
	for _, r := range d.Properties.OutputResources {
		ids = append(ids, r.ID)
	}
	if diff := cmp.Diff([]string{made + "last", made + "id-ann", made + "copy0", made + "copy1"}, ids); diff != "" {
		t.Error(diff)
	}
	out := d.Properties.Outputs
	if out["principal"].Value != first.PrincipalID || out["colour"].Value != "red" || out["colour"].Type != "String" {
		t.Errorf("the outputs are %+v", out)
	}
	if out["hidden"].Value != nil || d.Properties.Parameters["password"]["value"] != nil || d.Properties.Parameters["who"]["value"] != "ann" {
		t.Errorf("secrets are shown, or others are not: %+v %+v", out, d.Properties.Parameters)
	}
	if a := c.Do(t, token, http.MethodGet, path+"/operations"+version, ""); strings.Count(a.Body, `"provisioningState":"Succeeded"`) != 4 || strings.Contains(a.Body, "hunter2") {
		t.Errorf("the operations are %s", a.Body)
	}
}

// template wraps resources into a body.
func template(resources string) string {
	return `{"properties":{"mode":"Incremental","template":{"resources":[` + resources + `]}}}`
}

func anIdentity(name, more string) string {
	return fmt.Sprintf(`{"type":"Microsoft.ManagedIdentity/userAssignedIdentities","apiVersion":"2023-01-31","name":%q,"location":"local"%s}`, name, more)
}

func TestWhatFailsIsToldAndWhatNeedsItIsLeft(t *testing.T) {
	c := start(t)
	token := c.OwnerToken(t)
	d := deploy(t, c, token, template(anIdentity("x", "")+","+anIdentity("good", "")+","+anIdentity("after", `,"dependsOn":["x"]`)))
	p := d.Properties
	if p.ProvisioningState != "Failed" || p.Error.Code != "DeploymentFailed" || len(p.Error.Details) != 1 || p.Error.Details[0].Target != made+"x" {
		t.Errorf("%+v", p)
	}
	if _, err := c.Authority.UserAssigned(made + "good"); err != nil {
		t.Errorf("what had nothing to do with it: %v", err)
	}
	if _, err := c.Authority.UserAssigned(made + "after"); err == nil {
		t.Error("what needed it was made")
	}
}

// TestATemplateCanDoNoMoreThanItsSender deploys as one who may deploy, and may
// do nothing with identities.
func TestATemplateCanDoNoMoreThanItsSender(t *testing.T) {
	c := start(t)
	p, _, err := c.Authority.Register("deployer")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Authority.Assign(identity.RoleAssignment{Scope: group, Name: "n", Role: identity.GroupsContributor, PrincipalID: p.ObjectID})
	if err != nil {
		t.Fatal(err)
	}
	d := deploy(t, c, c.Of(t, identity.Principal{ObjectID: p.ObjectID, ClientID: p.ClientID}), template(anIdentity("mine", "")))
	if details := d.Properties.Error.Details; len(details) != 1 || details[0].Code != "AuthorizationFailed" {
		t.Errorf("%+v", d)
	}
	if _, err := c.Authority.UserAssigned(made + "mine"); err == nil {
		t.Error("it was made")
	}
}

func TestANestedTemplateEvaluatesItsOwn(t *testing.T) {
	c := start(t)
	inner := `{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"inner","properties":{"mode":"Incremental",` +
		`"expressionEvaluationOptions":{"scope":"inner"},"parameters":{"name":{"value":"[resourceGroup().name]"}},` +
		`"template":{"parameters":{"name":{"type":"string"}},"resources":[` + anIdentity("[concat('in-', parameters('name'))]", "") + `]}}}`
	if d := deploy(t, c, c.OwnerToken(t), template(inner)); d.Properties.ProvisioningState != "Succeeded" {
		t.Fatalf("%+v", d)
	}
	if _, err := c.Authority.UserAssigned(made + "in-g"); err != nil {
		t.Error(err)
	}
}

// TestResourcesAreWhereTheirTemplateSays has a deployment in another resource
// group, and a role at a resource: at the group, it would be one at all of it.
func TestResourcesAreWhereTheirTemplateSays(t *testing.T) {
	c := start(t)
	token := c.OwnerToken(t)
	other := "/subscriptions/" + armtest.Subscription + "/resourceGroups/other"
	c.Do(t, token, http.MethodPut, other+version, `{"location":"local"}`)
	const role = `,{"type":"Microsoft.Authorization/roleAssignments","apiVersion":"2022-04-01","name":"[guid('%s')]","scope":%q,"dependsOn":["one"],` +
		`"properties":{"roleDefinitionId":"acdd72a7-3385-48ef-bd42-f606fba81ae7","principalId":"[reference('one').principalId]"}}`
	inner := `,{"type":"Microsoft.Resources/deployments","apiVersion":"2021-04-01","name":"inner","resourceGroup":"other","properties":{` +
		`"expressionEvaluationOptions":{"scope":"inner"},"template":{"resources":[` + anIdentity("elsewhere", "") + `]}}}`
	d := deploy(t, c, token, template(anIdentity("one", "")+
		fmt.Sprintf(role, "a", "[concat('Microsoft.ManagedIdentity/userAssignedIdentities/', 'one')]")+fmt.Sprintf(role, "b", other)+inner))
	if d.Properties.ProvisioningState != "Succeeded" {
		t.Fatalf("%+v", d)
	}
	var scopes []string
	one, err := c.Authority.UserAssigned(made + "one")
	for _, ra := range c.Authority.RoleAssignments() {
		if ra.PrincipalID == one.PrincipalID {
			scopes = append(scopes, ra.Scope)
		}
	}
	slices.Sort(scopes)
	if diff := cmp.Diff([]string{made + "one", other}, scopes); diff != "" || err != nil {
		t.Errorf("scopes of the roles: %s %v", diff, err)
	}
	if _, err := c.Authority.UserAssigned(strings.Replace(made, "/g/", "/other/", 1) + "elsewhere"); err != nil {
		t.Errorf("what the inner template has: %v", err)
	}
}

func TestTemplatesThatCannotBe(t *testing.T) {
	c := start(t)
	for name, test := range map[string]struct{ body, code string }{
		"no JSON":                {`{"properties": nonsense`, "InvalidRequestContent"},
		"no template":            {`{"properties":{"mode":"Incremental"}}`, "InvalidTemplate"},
		"complete":               {strings.Replace(template(""), "Incremental", "Complete", 1), "DeploymentModeNotSupported"},
		"linked":                 {`{"properties":{"templateLink":{"uri":"https://example.com"}}}`, "InvalidTemplate"},
		"circle":                 {template(anIdentity("one", `,"dependsOn":["two"]`) + "," + anIdentity("two", `,"dependsOn":["one"]`)), "InvalidTemplate"},
		"needs nothing":          {template(anIdentity("one", `,"dependsOn":["two"]`)), "InvalidTemplate"},
		"twice":                  {template(anIdentity("one", "") + "," + anIdentity("ONE", "")), "InvalidTemplate"},
		"unknown function":       {template(anIdentity("[frobnicate('x')]", "")), "InvalidTemplate"},
		"unknown parameter":      {template(anIdentity("[parameters('x')]", "")), "InvalidTemplate"},
		"bad expression":         {template(anIdentity("[concat('x']", "")), "InvalidTemplate"},
		"name at run time":       {template(anIdentity("[reference('x').y]", "")), "InvalidTemplate"},
		"too few names":          {template(`{"type":"A.B/c/d","apiVersion":"2021-04-01","name":"x"}`), "InvalidTemplate"},
		"too deep":               {template(anIdentity("["+strings.Repeat("concat(", 500)+"'x'"+strings.Repeat(")", 500)+"]", "")), "InvalidTemplate"},
		"variable of itself":     {`{"properties":{"template":{"variables":{"a":"[variables('a')]"},"resources":[` + anIdentity("[variables('a')]", "") + `]}}}`, "InvalidTemplate"},
		"missing parameter":      {`{"properties":{"template":{"parameters":{"p":{"type":"string"}},"resources":[]}}}`, "InvalidTemplate"},
		"group of no deployment": {template(anIdentity("one", `,"resourceGroup":"other"`)), "InvalidTemplate"},
		"wrong type":             {`{"properties":{"parameters":{"p":{"value":1}},"template":{"parameters":{"p":{"type":"string"}},"resources":[]}}}`, "InvalidTemplate"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, request := range []string{"PUT " + path, "POST " + path + "/validate"} {
				method, target, _ := strings.Cut(request, " ")
				if a := c.Do(t, c.OwnerToken(t), method, target+version, test.body); a.Status != http.StatusBadRequest || a.Code() != test.code {
					t.Errorf("%s: %d %s", method, a.Status, a.Body)
				}
			}
		})
	}
}

func TestADeploymentOfAnEarlierDaemonHasFailed(t *testing.T) {
	c := start(t)
	token := c.OwnerToken(t)
	deploy(t, c, token, template(""))
	var kept map[string]any
	key := strings.ToLower("/subscriptions/" + armtest.Subscription + "/resourcegroups/g/deployments/d")
	if err := c.Store.Get("deployments", key, &kept); err != nil {
		t.Fatal(err)
	}
	kept["properties"].(map[string]any)["provisioningState"] = "Running"
	if err := c.Store.Put("deployments", key, kept); err != nil {
		t.Fatal(err)
	}
	if a := c.Do(t, token, http.MethodPut, path+version, template("")); a.Code() != "DeploymentActive" {
		t.Errorf("a second one of the name: %d %s", a.Status, a.Body)
	}
	// What a new daemon does; its routes come after those that answer.
	if err := deployments.Register(c.ARM, deployments.Options{Store: c.Store, Tenant: armtest.Tenant, Log: c.Log}); err != nil {
		t.Fatal(err)
	}
	if a := c.Do(t, token, http.MethodGet, path+version, ""); !strings.Contains(a.Body, `"Failed"`) || !strings.Contains(a.Body, "interrupted") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, status := range []int{http.StatusNoContent, http.StatusNoContent} {
		if a := c.Do(t, token, http.MethodDelete, path+version, ""); a.Status != status {
			t.Errorf("delete: %d %s", a.Status, a.Body)
		}
	}
	if a := c.Do(t, token, http.MethodHead, path+version, ""); a.Status != http.StatusNotFound {
		t.Errorf("after it was deleted: %d", a.Status)
	}
}
