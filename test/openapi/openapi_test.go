package openapi

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// things describes a provider of things that are made, listed and have a key.
const things = `{
  "swagger": "2.0", "info": {"version": "2020-01-01"},
  "paths": {
    "/subscriptions/{sub}/resourceGroups/{rg}/providers/Test.Things/things/{name}": {
      "parameters": [],
      "get": {"responses": {"200": {"schema": {"$ref": "#/definitions/Thing"}}, "default": {}}},
      "delete": {"responses": {"202": {}, "204": {}}}
    },
    "/subscriptions/{sub}/providers/Test.Things/things": {
      "get": {"responses": {"200": {"schema": {"type": "array", "items": {"$ref": "#/definitions/Thing"}}}}}
    },
    "/{resourceId}": {"get": {"responses": {"200": {"schema": {"type": "object"}}}}}
  },
  "definitions": {
    "Thing": {
      "required": ["name"],
      "allOf": [{"$ref": "../common-types/resource-management/v5/types.json#/definitions/Resource"}],
      "properties": {
        "size": {"type": "integer"},
        "made": {"type": "string", "format": "date-time"},
        "key": {"type": "string", "x-ms-secret": true},
        "colour": {"type": "string", "enum": ["Red", "Green"], "x-ms-enum": {"modelAsString": false}},
        "shape": {"type": "string", "enum": ["Round"], "x-ms-enum": {"modelAsString": true}},
        "anything": {"type": "object"},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}}
      }
    }
  }
}`

const common = `{
  "swagger": "2.0", "info": {"version": "5.0"}, "paths": {},
  "definitions": {
    "Resource": {"properties": {"id": {"type": "string"}, "name": {"type": "string"}}},
    "ErrorResponse": {"properties": {"error": {"required": ["code"], "properties": {"code": {"type": "string"}, "message": {"type": "string"}}}}},
    "OperationStatusResult": {"required": ["status"], "properties": {"status": {"type": "string"}}}
  }
}`

func load(t *testing.T) *Documents {
	t.Helper()
	dir := t.TempDir()
	for path, text := range map[string]string{
		"things/things.json":                             things,
		"common-types/resource-management/v5/types.json": common,
	} {
		path = filepath.Join(dir, "specification", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// thing is where one is, in a spelling that the documents do not use.
const thing = "https://host/Subscriptions/s/resourcegroups/rg/providers/Test.Things//things/t?Api-Version=2020-01-01"

func TestCheck(t *testing.T) {
	d := load(t)
	const things, poll = "https://host/subscriptions/s/providers/Test.Things/things", "https://host/subscriptions/s/providers/Test.Things/locations/l/operations/o"
	for _, test := range []struct {
		name, request, body string
		status              int
		header, want        string
	}{
		{"a whole one", "GET " + thing, `{"id":"i","name":"t","size":3,"made":"2026-01-02T03:04:05Z","colour":"Red","shape":"Square","anything":{"x":1},"tags":{"a":"b"}}`, 200, "", ""},
		{"a list", "GET " + things, `[{"name":"t"}]`, 200, "", ""},
		{"not of the array's kind", "GET " + things, `[{"name":3}]`, 200, "", "[0].name is the number 3, not of type string"},
		{"no list at all", "GET " + things, `{}`, 200, "", "the body is an object, not of type array"},
		{"a member is missing", "GET " + thing, `{}`, 200, "", `the body lacks "name"`},
		{"an unknown member", "GET " + thing, `{"name":"t","Size":3}`, 200, "", "Size is unknown to 2020-01-01"},
		{"a fraction", "GET " + thing, `{"name":"t","size":1.5}`, 200, "", "size is the number 1.5, not of type integer"},
		{"null", "GET " + thing, `{"name":"t","size":null}`, 200, "", "size is null"},
		{"no time", "GET " + thing, `{"name":"t","made":"yesterday"}`, 200, "", `made is no time: "yesterday"`},
		{"a closed enumeration", "GET " + thing, `{"name":"t","colour":"Blue"}`, 200, "", `colour is "Blue", not one of [Red Green]`},
		{"an open enumeration, spelled wrong", "GET " + thing, `{"name":"t","shape":"round"}`, 200, "", `shape is "round", not one of [Round]`},
		{"a map's values", "GET " + thing, `{"name":"t","tags":{"a":1}}`, 200, "", "tags.a is the number 1, not of type string"},
		{"a secret", "GET " + thing, `{"name":"t","key":"k"}`, 200, "", "key is a secret"},
		{"an undeclared status", "GET " + thing, `{"name":"t"}`, 203, "", "203 is no status of this operation"},
		{"a body where none belongs", "DELETE " + thing, `{}`, 204, "", "204 has no body: {}"},
		{"nothing to poll", "DELETE " + thing, ``, 202, "", "202 without anything to poll"},
		{"something to poll", "DELETE " + thing, ``, 202, "Location: https://host/x\nRetry-After: 1", ""},
		{"a relative address to poll", "DELETE " + thing, ``, 202, "Location: /x\nRetry-After: 1", `Location is no absolute URL of this cloud: "/x"`},
		{"no word of when to poll", "DELETE " + thing, ``, 202, "Location: https://host/x", `there is something to poll, but Retry-After is ""`},
		{"a poll", "GET " + poll, `{"status":"Succeeded"}`, 200, "", ""},
		{"a poll without status", "GET " + poll, `{}`, 200, "", `the body lacks "status"`},
		{"an error", "GET " + thing, `{"error":{"code":"C","message":"m"}}`, 404, "", ""},
		{"an error of another shape", "GET " + thing, `{"code":"C"}`, 404, "", "code is unknown to 5.0; the error has no code or no message"},
		{"an operation that is nowhere", "PATCH " + thing, `{}`, 200, "", "no document has this operation"},
		{"a path that is nowhere", "GET https://host/subscriptions/s/providers/Test.Things/others", `{}`, 200, "", "no document has this operation"},
		{"another's provider", "GET https://host/subscriptions/s/providers/Test.Unknown/x", `{}`, 200, "", ""},
		{"not Resource Manager", "GET https://host/tenant/oauth2/token", `x`, 200, "", ""},
	} {
		method, address, _ := strings.Cut(test.request, " ")
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		header := http.Header{"X-Ms-Request-Id": {"r"}, "Content-Type": {"application/json; charset=utf-8"}}
		for line := range strings.Lines(test.header) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			header.Set(name, value)
		}
		got := strings.Join(d.Check(Exchange{method, u, test.status, header, []byte(test.body)}), "; ")
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestRequestID(t *testing.T) {
	u, err := url.Parse(thing)
	if err != nil {
		t.Fatal(err)
	}
	got := load(t).Check(Exchange{"GET", u, 401, http.Header{}, nil})
	if diff := cmp.Diff([]string{"there is no x-ms-request-id"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestPublished reads the documents as they are published, where they are there.
func TestPublished(t *testing.T) {
	d, err := Find()
	if err != nil {
		t.Skip("the published documents are not beside this repository: ", err)
	}
	path := segments("/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/g")
	for asked, want := range map[string]string{
		"2018-10-01": "2022-10-01-preview", "2023-05-01": "2023-05-01", "2023-08-01": "2023-05-01", "2026-01-01": "2025-09-01",
	} {
		op, _ := d.find("GET", path, asked)
		if op == nil || op.doc.Info.Version != want {
			t.Errorf("for api-version %s: %+v, want the document of %s", asked, op, want)
		}
	}
}
