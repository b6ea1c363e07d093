package deployments_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// keep puts deployments of a state into the cloud's store, the oldest first.
func keep(t *testing.T, put func(kind, key string, value any) error, state string, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		name := fmt.Sprintf("old%03d", i)
		d := map[string]any{"name": name, "properties": map[string]any{
			"provisioningState": state, "timestamp": time.Unix(int64(i), 0).UTC()}}
		if err := put("deployments", strings.ToLower(group+"/deployments/"+name), d); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOldDeploymentsMakeRoomForNewOnes(t *testing.T) {
	c := start(t)
	token := c.OwnerToken(t)
	const empty = `{"properties": {"template": {"resources": []}}}`
	keep(t, c.Store.Put, "Running", 0, 799)
	keep(t, c.Store.Put, "Succeeded", 799, 800)
	deploy(t, c, token, empty)
	old := group + "/providers/Microsoft.Resources/deployments/old799" + version
	if a := c.Do(t, token, http.MethodGet, old, ""); a.Status != http.StatusNotFound {
		t.Errorf("the oldest that has ended is there: %d %s", a.Status, a.Body)
	}
	c.Do(t, token, http.MethodDelete, path+version, "")
	keep(t, c.Store.Put, "Running", 799, 800)
	another := group + "/providers/Microsoft.Resources/deployments/another" + version
	if a := c.Do(t, token, http.MethodPut, another, empty); a.Status != http.StatusConflict || a.Code() != "DeploymentQuotaExceeded" {
		t.Errorf("with 800 that run: %d %s", a.Status, a.Body)
	}
}

func TestATemplateThatComesToTooMuchIsRefused(t *testing.T) {
	c := start(t)
	token := c.OwnerToken(t)
	const wide = `{"properties": {"template": {"resources": [{"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31",
		"name": "wide", "location": "local", "tags": %s}]}}}`
	long := `"[padLeft('', 60000, 'a')]"`
	tags := `{"t0": ` + long
	for i := range 99 {
		tags += fmt.Sprintf(`, "t%d": %s`, i+1, long)
	}
	d := deploy(t, c, token, fmt.Sprintf(wide, tags+"}"))
	if d.Properties.ProvisioningState != "Failed" || d.Properties.Error.Details[0].Code != "InvalidTemplate" {
		t.Errorf("%+v", d)
	}
	d = deploy(t, c, token, fmt.Sprintf(wide, `{"a": "[padLeft(1, -9223372036854775808)]"}`))
	if d.Properties.ProvisioningState != "Failed" || d.Properties.Error.Details[0].Code != "InvalidTemplate" {
		t.Errorf("%+v", d)
	}
}
