package groups

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestListsHaveNoState(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "one", sdkGroup(sdkContainer("web")))
	c.create(t, "two", sdkGroup(sdkContainer("web")))
	var names []string
	for pager := c.groups.NewListByResourceGroupPager("rg", nil); pager.More(); {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range page.Value {
			names = append(names, *g.Name)
			if g.Properties.InstanceView != nil || g.Properties.Containers[0].Properties.InstanceView != nil {
				t.Errorf("group %s has its state in a list", *g.Name)
			}
		}
	}
	if diff := cmp.Diff([]string{"one", "two"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestMalformedBodies(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	at := c.url + groupID(testSub, "rg", "web") + "?api-version=2023-05-01"
	for _, body := range []string{``, `{`, `null`, `[]`, `"x"`, `1`, `{"location":1}`, `{"properties":[]}`, `{"location":"local","properties":null}`,
		`{"location":"local","properties":{"osType":"Linux","containers":[null]}}`,
		`{"location":"local","properties":{"osType":"Linux","containers":[{"name":"a","properties":{"image":"x","resources":{"requests":null}}}]}}`,
		`{"location":"local","properties":{"osType":"Linux","containers":[{"name":"a","properties":{"image":"x","ports":[{"port":"x"}]}}]}}`,
		`{"location":"local","properties":{"osType":"Linux","containers":[{"name":"a","properties":{"image":"x","resources":{"requests":{"cpu":1e999,"memoryInGB":1}}}}]}}`} {
		status, answer := c.send(t, "PUT", at, body)
		if status < 400 || status >= 500 || !strings.Contains(answer, `"code"`) {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
}

// send makes a raw request with the operator's token.
func (c *client) send(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	status, _, answer := c.raw(t, method, url, body)
	return status, answer
}

func (c *client) raw(t *testing.T, method, url, body string) (int, http.Header, string) {
	t.Helper()
	request := c.request(t, method, url, body)
	answer, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(text)
}
