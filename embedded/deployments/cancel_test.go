package deployments_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/arm/armtest"
)

// TestACanceledDeploymentEnds cancels one that waits for a resource that never
// comes up, as a group does whose image is not there.
func TestACanceledDeploymentEnds(t *testing.T) {
	c := start(t)
	token := c.OwnerToken(t)
	asked := make(chan struct{}, 1)
	const thing = "/subscriptions/{sub}/resourceGroups/{rg}/providers/Slow.Provider/things/{name}"
	c.ARM.Handle(http.MethodPut, thing, "Slow.Provider/things/write", func(_ context.Context, r *arm.Request) (*arm.Response, error) {
		header := c.ARM.Async(r, func(ctx context.Context) error {
			asked <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})
		return &arm.Response{Status: http.StatusCreated, Header: header, Body: map[string]any{}}, nil
	})
	const slow = `{"type":"Slow.Provider/things","apiVersion":"2023-05-01","name":"slow"}`
	put := c.Do(t, token, http.MethodPut, path+version, template(slow+","+anIdentity("after", `,"dependsOn":["slow"]`)))
	<-asked
	if a := c.Do(t, token, http.MethodPut, path+version, template("")); a.Code() != "DeploymentActive" {
		t.Fatalf("while it runs: %d %s", a.Status, a.Body)
	}
	if a := c.Do(t, token, http.MethodPost, path+"/cancel"+version, ""); a.Status != http.StatusNoContent {
		t.Fatalf("cancel: %d %s", a.Status, a.Body)
	}
	if status := ended(t, c, token, put); status != "Failed" {
		t.Errorf("its operation has %s", status)
	}
	var d shown
	a := c.Do(t, token, http.MethodGet, path+version, "")
	if err := json.Unmarshal([]byte(a.Body), &d); err != nil || d.Properties.ProvisioningState != "Canceled" || d.Properties.Error.Code != "DeploymentCanceled" {
		t.Errorf("%d %s %v", a.Status, a.Body, err)
	}
	if _, err := c.Authority.UserAssigned(made + "after"); err == nil {
		t.Error("what came after was made")
	}
	if a := c.Do(t, token, http.MethodPost, path+"/cancel"+version, ""); a.Status != http.StatusConflict || a.Code() != "DeploymentCannotBeCancelled" {
		t.Errorf("a second time: %d %s", a.Status, a.Body)
	}
	if d := deploy(t, c, token, template("")); d.Properties.ProvisioningState != "Succeeded" {
		t.Errorf("the next of its name: %+v", d)
	}
}

// ended waits for the end of what an answer began and returns its status.
func ended(t *testing.T, c *armtest.Cloud, token armtest.Token, a armtest.Answer) string {
	t.Helper()
	poll := strings.TrimPrefix(a.Header.Get("Azure-AsyncOperation"), c.URL)
	for {
		var body struct{ Status string }
		a := c.Do(t, token, http.MethodGet, poll, "")
		if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
			t.Fatalf("%d %s: %v", a.Status, a.Body, err)
		}
		if body.Status != "InProgress" {
			return body.Status
		}
	}
}
