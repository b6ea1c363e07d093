package groups

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// body is a group with one container, whose other parts are given.
func body(container, group string) string {
	return fmt.Sprintf(`{"location":"local","properties":{"osType":"Linux","containers":[{"name":"web","properties":{"image":%q,
		"resources":{"requests":{"cpu":0.5,"memoryInGB":0.5}}%s}}]%s}}`, testImage, container, group)
}

// followed checks the headers of an asynchronous answer and returns where they lead.
func (c *client) followed(t *testing.T, header http.Header) (status, result string) {
	t.Helper()
	status, result = header.Get("Azure-AsyncOperation"), header.Get("Location")
	for _, url := range []string{status, result} {
		if !strings.HasPrefix(url, c.url+"/subscriptions/") || !strings.Contains(url, "api-version=2025-09-01") {
			t.Errorf("the client is led to %q", url)
		}
	}
	if header.Get("Retry-After") == "" {
		t.Error("the client is not told when to ask")
	}
	return status, result
}

// finished polls an operation until it has ended, and returns how.
func (c *client) finished(t *testing.T, url string) string {
	t.Helper()
	for {
		code, header, answer := c.raw(t, "GET", url, "") // waits a while for the end
		if code != 200 || header.Get("Retry-After") == "" {
			t.Fatalf("poll: %d %s", code, answer)
		}
		if !strings.Contains(answer, `"InProgress"`) {
			return answer
		}
	}
}

func TestWhatEachOperationAnswers(t *testing.T) {
	c := newWorld(t).operate(t)
	at := c.url + groupID(testSub, "rg", "web")
	const version = "?api-version=2025-09-01"

	code, header, answer := c.raw(t, "PUT", at+version, body("", ""))
	if code != 201 || !strings.Contains(answer, `"provisioningState":"Pending"`) {
		t.Errorf("create: %d %s", code, answer)
	}
	status, result := c.followed(t, header)
	if answer := c.finished(t, status); !strings.Contains(answer, `"status":"Succeeded"`) {
		t.Errorf("the operation: %s", answer)
	}
	if code, _, answer := c.raw(t, "GET", result, ""); code != 200 || !strings.Contains(answer, `"provisioningState":"Succeeded"`) {
		t.Errorf("what came of it: %d %s", code, answer)
	}
	if code, _, _ := c.raw(t, "PUT", strings.Replace(at, "/containerGroups", "//containerGroups", 1)+version, body("", "")); code != 200 {
		t.Errorf("the same again: %d", code)
	}
	for _, action := range []string{"restart", "stop"} {
		if code, _, answer := c.raw(t, "POST", at+"/"+action+version, ""); code != 204 || answer != "" {
			t.Errorf("%s: %d %s", action, code, answer)
		}
	}
	code, header, _ = c.raw(t, "POST", at+"/start"+version, "")
	if code != 202 {
		t.Errorf("start: %d", code)
	}
	status, result = c.followed(t, header)
	c.finished(t, status)
	if code, _, answer := c.raw(t, "GET", result, ""); code != 200 || answer != "" {
		t.Errorf("the result of a start: %d %s", code, answer)
	}
	if code, _, _ := c.raw(t, "POST", at+"/start"+version, ""); code != 204 {
		t.Errorf("start of what runs: %d", code)
	}
	if code, _, answer := c.raw(t, "DELETE", at+version, ""); code != 200 || !strings.Contains(answer, `"name":"web"`) {
		t.Errorf("delete: %d %s", code, answer)
	}
	if code, _, _ := c.raw(t, "DELETE", at+version, ""); code != 204 {
		t.Errorf("delete again: %d", code)
	}
	for _, request := range []string{"GET ", "PATCH ", "POST /start", "POST /stop", "POST /restart", "GET /containers/web/logs", "POST /containers/web/exec", "POST /containers/web/attach"} {
		method, path, _ := strings.Cut(request, " ")
		if code, _, answer := c.raw(t, method, at+path+version, `{"command":"x"}`); code != 404 || !strings.Contains(answer, `"ResourceNotFound"`) {
			t.Errorf("%s of no group: %d %s", request, code, answer)
		}
	}
	if code, _, answer := c.raw(t, "GET", at, ""); code != 400 || !strings.Contains(answer, "MissingApiVersionParameter") {
		t.Errorf("without a version: %d %s", code, answer)
	}
}

func TestOnlyTagsAreChangedByPatch(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	at := c.url + groupID(testSub, "rg", "web") + "?api-version=2023-05-01"
	c.create(t, "web", sdkGroup(sdkContainer("web")))
	first := w.runtime.latest("web").status.Id
	for _, step := range []struct {
		body string
		want map[string]string
	}{
		{`{"tags":{"a":"1","b":"2"}}`, map[string]string{"a": "1", "b": "2"}},
		{`{"Tags":{"b":"3"},"location":"mars","properties":{"osType":"Windows"}}`, map[string]string{"b": "3"}},
		{`{}`, map[string]string{"b": "3"}},
		{`{"tags":{}}`, map[string]string{}},
	} {
		if code, answer := c.send(t, "PATCH", at, step.body); code != 200 {
			t.Fatalf("%s: %d %s", step.body, code, answer)
		}
		got := map[string]string{}
		for name, value := range c.get(t, "web").Tags {
			got[name] = *value
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: %s", step.body, diff)
		}
	}
	if code, answer := c.send(t, "PATCH", at, `{"tags":{"a":1}}`); code != 400 || !strings.Contains(answer, "Path 'tags.a'") {
		t.Errorf("a tag that is no string: %d %s", code, answer)
	}
	if w.runtime.latest("web").status.Id != first {
		t.Error("tags restarted the group")
	}
}
