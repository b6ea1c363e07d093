package groups

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
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

func TestLogs(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	path := filepath.Join(w.options.Paths.Logs, c.service.groups[groupKey(testSub, "rg", "web")].record.UID, "web", "0.log")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	const log = "2026-01-01T00:00:00.000000001Z stdout F one\n2026-01-01T00:00:00.000000002Z stderr P two, \n2026-01-01T00:00:00.000000003Z stderr F whole\n"
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c2 := range []struct {
		options aci.ContainersClientListLogsOptions
		want    string
	}{
		{aci.ContainersClientListLogsOptions{}, "one\ntwo, whole\n"},
		{aci.ContainersClientListLogsOptions{Tail: to.Ptr[int32](1)}, "two, whole\n"},
		{aci.ContainersClientListLogsOptions{Timestamps: to.Ptr(true), Tail: to.Ptr[int32](1)}, "2026-01-01T00:00:00.000000002Z two, whole\n"},
	} {
		r, err := c.insides.ListLogs(t.Context(), "rg", "web", "web", &c2.options)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c2.want, *r.Content); diff != "" {
			t.Error(diff)
		}
	}
	// A log that was put aside is still the beginning of the log.
	running := c.service.groups[groupKey(testSub, "rg", "web")].deployment.status.snapshot().Containers["web"]
	if err := os.Truncate(path, rotateSize); err != nil {
		t.Fatal(err)
	}
	if err := c.service.engine.rotateLog(t.Context(), filepath.Base(filepath.Dir(filepath.Dir(path))), "web", running); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.runtime.history(), "reopen "+running.ID) {
		t.Error("the runtime still writes to the old file")
	}
	for p, content := range map[string]string{path + rotated: log, path: "2026-01-01T00:00:01Z stdout F three\n"} {
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := c.insides.ListLogs(t.Context(), "rg", "web", "web", nil); err != nil || *r.Content != "one\ntwo, whole\nthree\n" {
		t.Errorf("after rotation: %v, %v", r.Content, err)
	}

	_, err := c.insides.ListLogs(t.Context(), "rg", "web", "absent", nil)
	if code := refused(t, err); code != "ContainerNotFound" {
		t.Errorf("logs of no container: %s", code)
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
