package arm_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/arm/armtest"
)

const (
	base    = "/subscriptions/" + armtest.Subscription
	version = "?api-version=2023-05-01"
	thing   = "/providers/Test.Provider/things/One"
)

// things is a resource provider with one resource type.
func things(c *armtest.Cloud) {
	const pattern = "/subscriptions/{sub}/resourceGroups/{rg}/providers/Test.Provider/things/{name}"
	c.ARM.Handle(http.MethodGet, pattern, "Test.Provider/things/read", func(_ context.Context, r *arm.Request) (*arm.Response, error) {
		switch r.Var("name") {
		case "absent":
			return nil, arm.NotFound("Test.Provider/things", r.Var("name"), r.Var("rg"))
		case "broken":
			return nil, errors.New("a secret reason")
		case "full":
			return nil, fmt.Errorf("write: %w", syscall.ENOSPC)
		case "full of text": // as it comes over gRPC
			return nil, errors.New("rpc error: write /x: no space left on device")
		case "panicking":
			panic("a secret reason")
		}
		return &arm.Response{Status: http.StatusOK, Body: r.Vars}, nil
	})
	c.ARM.Handle(http.MethodPut, pattern, "Test.Provider/things/write", func(_ context.Context, r *arm.Request) (*arm.Response, error) {
		var body struct {
			Name       string
			Properties struct{ Size int }
		}
		if err := r.Decode(&body); err != nil {
			return nil, err
		}
		return &arm.Response{Status: http.StatusCreated, Body: body}, nil
	})
}

func startWithGroup(t *testing.T) (*armtest.Cloud, armtest.Token) {
	t.Helper()
	c := armtest.Start(t, things)
	token := c.OwnerToken(t)
	if a := c.Do(t, token, http.MethodPut, base+"/resourcegroups/g"+version, `{"location":"local"}`); a.Status != http.StatusCreated {
		t.Fatalf("create group: %d %s", a.Status, a.Body)
	}
	return c, token
}

func TestPathsAreMatchedAsClientsWriteThem(t *testing.T) {
	c, token := startWithGroup(t)
	for name, path := range map[string]string{
		"as documented":  base + "/resourceGroups/g" + thing,
		"lower case":     base + "/resourcegroups/g/providers/test.provider/things/One",
		"upper case":     "/SUBSCRIPTIONS/" + armtest.Subscription + "/RESOURCEGROUPS/g/PROVIDERS/TEST.PROVIDER/THINGS/One",
		"empty segments": "/" + base + "/resourceGroups/g/providers/Test.Provider//things/One/",
		"encoded":        base + "/resourceGroups/g/providers/Test%2EProvider/things/%4Fne",
	} {
		t.Run(name, func(t *testing.T) {
			a := c.Do(t, token, http.MethodGet, path+version, "")
			if a.Status != http.StatusOK || !strings.Contains(a.Body, `"name":"One"`) {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	c, token := startWithGroup(t)
	group := base + "/resourceGroups/g"
	type answer struct {
		Status int
		Code   string
	}
	for _, test := range []struct {
		name, method, path, body string
		token                    armtest.Token
		want                     answer
	}{
		{"no token", "GET", group + thing + version, "", "", answer{401, "AuthenticationFailed"}},
		{"no token, no such path", "GET", "/nothing", "", "", answer{401, "AuthenticationFailed"}},
		{"a token of nobody", "GET", group + thing + version, "", "abc.def.ghi", answer{401, "InvalidAuthenticationToken"}},
		{"no api-version", "GET", group + thing, "", token, answer{400, "MissingApiVersionParameter"}},
		{"another subscription", "GET", "/subscriptions/33333333-3333-4333-8333-333333333333/resourceGroups" + version, "", token, answer{404, "SubscriptionNotFound"}},
		{"no such group", "GET", base + "/resourceGroups/none" + thing + version, "", token, answer{404, "ResourceGroupNotFound"}},
		{"write to no such group", "PUT", base + "/resourceGroups/none" + thing + version, "{}", token, answer{404, "ResourceGroupNotFound"}},
		{"no such resource", "GET", group + "/providers/Test.Provider/things/absent" + version, "", token, answer{404, "ResourceNotFound"}},
		{"no such type", "GET", group + "/providers/Test.Provider/others/x" + version, "", token, answer{404, "InvalidResourceType"}},
		{"no such provider", "GET", group + "/providers/Nobody.Knows/things/x" + version, "", token, answer{404, "InvalidResourceNamespace"}},
		{"no such path", "GET", "/nothing" + version, "", token, answer{404, "NotFound"}},
		{"no such method", "POST", group + thing + version, "", token, answer{405, "MethodNotAllowed"}},
		{"a way up", "GET", group + "/../h" + thing + version, "", token, answer{400, "InvalidRequestUri"}},
		{"an encoded way up", "GET", group + "/%2e%2E/h" + thing + version, "", token, answer{400, "InvalidRequestUri"}},
		{"a dot", "GET", group + "/." + thing + version, "", token, answer{400, "InvalidRequestUri"}},
		{"an encoded slash", "GET", group + "%2fproviders" + version, "", token, answer{400, "InvalidRequestUri"}},
		{"a backslash", "GET", group + "%5cproviders" + version, "", token, answer{400, "InvalidRequestUri"}},
		{"no body", "PUT", group + thing + version, "", token, answer{400, "InvalidRequestContent"}},
		{"a large body", "PUT", group + thing + version, `{"name":"` + strings.Repeat("x", 4<<20) + `"}`, token, answer{413, "RequestContentTooLarge"}},
		{"an error of ours", "GET", group + "/providers/Test.Provider/things/broken" + version, "", token, answer{500, "InternalServerError"}},
		{"a full disk", "GET", group + "/providers/Test.Provider/things/full" + version, "", token, answer{507, "DiskFull"}},
		{"a full disk elsewhere", "GET", group + "/providers/Test.Provider/things/full%20of%20text" + version, "", token, answer{507, "DiskFull"}},
		{"a panic of ours", "GET", group + "/providers/Test.Provider/things/panicking" + version, "", token, answer{500, "InternalServerError"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := c.Do(t, test.token, test.method, test.path, test.body)
			if diff := cmp.Diff(test.want, answer{a.Status, a.Code()}); diff != "" {
				t.Errorf("%s\n%s", diff, a.Body)
			}
			if strings.Contains(a.Body, "a secret reason") {
				t.Error("the client was told what only the log may know")
			}
			if asked := a.Header.Get("WWW-Authenticate"); (a.Status == 401) != strings.HasPrefix(asked, "Bearer ") {
				t.Errorf("status %d with WWW-Authenticate %q", a.Status, asked)
			}
			if got := a.Header.Get("Content-Type"); got != "application/json; charset=utf-8" {
				t.Errorf("content type is %q", got)
			}
			if a.Header.Get("x-ms-request-id") == "" || a.Header.Get("x-ms-correlation-request-id") == "" {
				t.Error("the answer has no ids")
			}
		})
	}
}

func TestMalformedBodiesAreTheClientsFault(t *testing.T) {
	c, token := startWithGroup(t)
	bodies := []string{
		"", " ", "{", "}", "[", "[]", "[1]", `"text"`, "1", "true", "{]", `{"a"}`, `{"a":}`, `{a:1}`, "{}{}", "{} x",
		`{"name":1}`, `{"name":{}}`, `{"name":[]}`, `{"properties":[]}`, `{"properties":"x"}`, `{"properties":{"size":"1"}}`,
		`{"properties":{"size":1.5}}`, `{"properties":{"size":1e400}}`, `{"properties":{"size":99999999999999999999}}`,
		"\x00", "\xff\xfe", "<xml/>", "a=b", strings.Repeat("[", 100_000), strings.Repeat(`{"a":`, 100_000), `{"name":"\u00"}`,
	}
	paths := []string{"/resourcegroups/g" + thing, "/resourcegroups/h",
		"/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/abc",
		"/providers/Microsoft.Authorization/roleAssignments/44444444-4444-4444-8444-444444444444"}
	for _, path := range paths {
		for _, body := range bodies {
			a := c.Do(t, token, http.MethodPut, base+path+version, body)
			if a.Status != http.StatusBadRequest || a.Code() == "" {
				t.Errorf("PUT %s with %.40q: %d %s", path, body, a.Status, a.Body)
			}
		}
	}
}

func TestHeadAnswersWithoutABody(t *testing.T) {
	c, token := startWithGroup(t)
	for path, want := range map[string]int{
		"/resourcegroups/g":         http.StatusNoContent,
		"/resourcegroups/none":      http.StatusNotFound,
		"/resourcegroups/g" + thing: http.StatusNoContent,
		"/resourcegroups/g/providers/Test.Provider/things/absent":    http.StatusNotFound,
		"/resourcegroups/none/providers/Test.Provider/things/absent": http.StatusNotFound,
	} {
		if a := c.Do(t, token, http.MethodHead, base+path+version, ""); a.Status != want || a.Body != "" {
			t.Errorf("HEAD %s: %d %q", path, a.Status, a.Body)
		}
	}
}

func TestAnyoneMayAskWhereToSignIn(t *testing.T) {
	c := armtest.Start(t)
	a := c.Do(t, "", http.MethodGet, "/metadata/endpoints?api-version=2015-01-01", "")
	if a.Status != http.StatusOK || !strings.Contains(a.Body, `"loginEndpoint":"`+c.URL+`"`) {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
}

func TestProvidersAreWhatIsRegistered(t *testing.T) {
	c := armtest.Start(t, things)
	token := c.OwnerToken(t)
	a := c.Do(t, token, http.MethodGet, base+"/providers/test.provider"+version, "")
	if a.Status != http.StatusOK || !strings.Contains(a.Body, `"resourceType":"things"`) {
		t.Errorf("get: %d %s", a.Status, a.Body)
	}
	a = c.Do(t, token, http.MethodPost, base+"/providers/Test.Provider/register"+version, "")
	if a.Status != http.StatusOK || !strings.Contains(a.Body, `"registrationState":"Registered"`) {
		t.Errorf("register: %d %s", a.Status, a.Body)
	}
	if a = c.Do(t, token, http.MethodGet, base+"/providers/Nobody.Knows"+version, ""); a.Code() != "InvalidResourceNamespace" {
		t.Errorf("of nobody: %d %s", a.Status, a.Body)
	}
}

func TestOddPathsAreTheClientsFault(t *testing.T) {
	c, token := startWithGroup(t)
	parts := []string{"%00", "%2F", "%2e%2e", "..", "%20", "{rg}", "{scope...}", "%f0%9f%8d%84", strings.Repeat("x", 5000), "providers", "default", "'"}
	templates := []string{"/#", "/subscriptions/#" + "/resourceGroups", base + "/resourceGroups/#", base + "/resourceGroups/#" + thing,
		base + "/resourceGroups/g/providers/#/things/x", base + "/resourceGroups/g/providers/Test.Provider/#",
		base + "/resourceGroups/g/providers/#", "/#/providers/Microsoft.Authorization/roleAssignments/#", base + "/providers/#/locations/#/operations/#",
		base + "/operationresults/#", base + "/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/#"}
	for _, template := range templates {
		for _, part := range parts {
			for _, method := range []string{"GET", "PUT", "DELETE", "POST", "PATCH", "OPTIONS"} {
				path := strings.ReplaceAll(template, "#", part)
				a := c.Do(t, token, method, path+version, "{}")
				if a.Status >= 500 || a.Status >= 400 && a.Code() == "" {
					t.Errorf("%s %.200s: %d %s", method, path, a.Status, a.Body)
				}
			}
		}
	}
}
