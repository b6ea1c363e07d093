package groups

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/embedded/identity"
)

// names reads a list, page by page, following its links as they are.
func (c *client) names(t *testing.T, url string) (names []string, pages int) {
	t.Helper()
	for url != "" {
		status, body := c.send(t, "GET", url, "")
		var page struct {
			Value []struct {
				Name       string
				Properties struct{ InstanceView any }
			}
			NextLink string
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != 200 {
			t.Fatalf("%s: %d %s", url, status, body)
		}
		for _, g := range page.Value {
			if g.Properties.InstanceView != nil {
				t.Errorf("%s has its state in a list", g.Name)
			}
			names = append(names, g.Name)
		}
		url = page.NextLink
		pages++
	}
	return names, pages
}

func TestListsComeInPagesAndWaitForNothing(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.resourceGroup(t, "other")
	var want []string
	var all sync.WaitGroup
	for i := range pageSize + 5 {
		name := fmt.Sprintf("g%03d", i)
		want = append(want, name)
		all.Go(func() {
			if err := c.put(t, name, sdkGroup(sdkContainer("web"))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	// A deletion that takes its time must not hold up who lists.
	entered, leave := make(chan struct{}), make(chan struct{})
	w.runtime.removing = sync.OnceFunc(func() { close(entered); <-leave })
	var deleting sync.WaitGroup
	deleting.Go(func() { c.delete(t, "g000") })
	<-entered

	inGroup := c.url + "/subscriptions/" + testSub + "/resourceGroups/RG/providers/Microsoft.ContainerInstance/containerGroups?api-version=2023-05-01"
	names, pages := c.names(t, inGroup)
	if diff := cmp.Diff(want, names); diff != "" || pages != 2 {
		t.Errorf("%d pages; %s", pages, diff)
	}
	close(leave)
	deleting.Wait()
	inSubscription := c.url + "/subscriptions/" + testSub + "/providers/Microsoft.ContainerInstance/containerGroups?api-version=2023-05-01"
	names, pages = c.names(t, inSubscription+"&$top=50")
	if diff := cmp.Diff(want[1:], names); diff != "" || pages != 3 {
		t.Errorf("%d pages; %s", pages, diff)
	}
	if names, _ := c.names(t, strings.Replace(inGroup, "/RG/", "/other/", 1)); len(names) > 0 {
		t.Errorf("of a group without any: %v", names)
	}
}

func TestAListHasWhatItsReaderMayRead(t *testing.T) {
	c := newWorld(t).operate(t)
	c.create(t, "mine", sdkGroup(sdkContainer("web")))
	c.create(t, "yours", sdkGroup(sdkContainer("web")))
	p, secret, err := c.authority.Register("reader")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.authority.Assign(identity.RoleAssignment{Scope: groupID(testSub, "rg", "mine"), Name: "n", Role: identity.Reader, PrincipalID: p.ObjectID})
	if err != nil {
		t.Fatal(err)
	}
	reader := *c
	reader.token = c.credential(t, identity.Credential{ClientID: p.ClientID, Secret: secret})
	names, _ := reader.names(t, c.url+"/subscriptions/"+testSub+"/providers/Microsoft.ContainerInstance/containerGroups?api-version=2023-05-01")
	if diff := cmp.Diff([]string{"mine"}, names); diff != "" {
		t.Error(diff)
	}
	if status, body := reader.send(t, "GET", c.url+groupID(testSub, "rg", "yours")+"?api-version=2023-05-01", ""); status != 403 || !strings.Contains(body, "AuthorizationFailed") {
		t.Errorf("another's group: %d %s", status, body)
	}
}
