package aci_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/node/provider"
	"frankenetes.dev/node/provider/aci"
	"frankenetes.dev/node/provider/providertest"
)

// token is a credential that the servers of these tests do not look at.
type token struct{}

func (token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// against returns a provider whose cloud is the handler.
func against(t *testing.T, subnet string, handler http.HandlerFunc) *aci.Provider {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	client, err := armcontainerinstance.NewContainerGroupsClient("sub", token{}, &arm.ClientOptions{
		DisableRPRegistration: true,
		ClientOptions: azcore.ClientOptions{
			Transport: server.Client(),
			Cloud: cloud.Configuration{Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
				cloud.ResourceManager: {Endpoint: server.URL, Audience: "test"}}},
		}})
	if err != nil {
		t.Fatal(err)
	}
	return aci.New(client, "pods", "here", subnet)
}

const path = "/subscriptions/sub/resourceGroups/pods/providers/Microsoft.ContainerInstance/containerGroups"

// TestItKeepsTheContract is against a cloud that only keeps books.
func TestItKeepsTheContract(t *testing.T) {
	var mu sync.Mutex
	groups := map[string]map[string]any{}
	p := against(t, "/the/subnet", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, path), "/")
		switch {
		case r.Method == http.MethodPut:
			var body map[string]any
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			body["name"] = name
			groups[name] = body
			w.WriteHeader(http.StatusCreated)
			if err := json.NewEncoder(w).Encode(body); err != nil {
				t.Error(err)
			}
		case r.Method == http.MethodDelete && groups[name] == nil:
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodDelete:
			delete(groups, name)
			w.WriteHeader(http.StatusOK)
			io.WriteString(w, "{}")
		default:
			if err := json.NewEncoder(w).Encode(map[string]any{"value": slices.Collect(maps.Values(groups))}); err != nil {
				t.Error(err)
			}
		}
	})
	providertest.Contract(t, p, func(string) provider.Group {
		return provider.Group{Containers: []provider.Container{{Name: "web", Image: "hello"}}}
	})
	mu.Lock()
	defer mu.Unlock()
	if len(groups) != 0 {
		t.Errorf("there is still %v", groups)
	}
}

func TestCreateSaysWhatARMExpects(t *testing.T) {
	var got any
	p := against(t, "/the/subnet", func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || r.URL.Path != path+"/g" {
			t.Errorf("%s %s, want PUT %s/g", r.Method, r.URL.Path, path)
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"name":"g","properties":{"provisioningState":"Pending","containers":[],"osType":"Linux"}}`)
	})
	root := int32(0)
	err := p.Create(context.Background(), provider.Group{
		Name: "g", Tags: map[string]string{"k": "v"}, Volumes: []string{"shared"},
		Init: []provider.Container{{Name: "install", Image: "agent", Command: []string{"/agent", "install"}}},
		Containers: []provider.Container{{
			Name: "web", Image: "hello", Command: []string{"run"}, User: &root,
			Env:     []provider.EnvVar{{Name: "OPEN", Value: "1"}, {Name: "TOKEN", Value: "2", Secret: true}},
			Mounts:  []provider.Mount{{Volume: "shared", Path: "/data", ReadOnly: true}},
			Request: provider.Resources{CPU: 0.25, MemoryGB: 0.5}, Limit: provider.Resources{CPU: 1, MemoryGB: 1.5}}},
		Registries: []provider.Registry{{Server: "r.io", Username: "u", Password: "p"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal([]byte(`{
		"location": "here", "tags": {"k": "v"},
		"properties": {
			"osType": "Linux", "restartPolicy": "Never",
			"subnetIds": [{"id": "/the/subnet"}],
			"volumes": [{"name": "shared", "emptyDir": {}}],
			"imageRegistryCredentials": [{"server": "r.io", "username": "u", "password": "p"}],
			"initContainers": [{"name": "install", "properties": {"image": "agent", "command": ["/agent", "install"]}}],
			"containers": [{"name": "web", "properties": {
				"image": "hello", "command": ["run"], "securityContext": {"runAsUser": 0},
				"environmentVariables": [{"name": "OPEN", "value": "1"}, {"name": "TOKEN", "secureValue": "2"}],
				"volumeMounts": [{"name": "shared", "mountPath": "/data", "readOnly": true}],
				"resources": {"requests": {"cpu": 0.25, "memoryInGB": 0.5}, "limits": {"cpu": 1, "memoryInGB": 1.5}}}}]
		}}`), &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the request differs (-want +got):\n%s", diff)
	}
}

func TestGroupsInNoSubnetHaveAPublicAddress(t *testing.T) {
	g := provider.Group{Name: "g", Containers: []provider.Container{
		{Name: "web", Image: "hello", Ports: []provider.Port{{Number: 80}, {UDP: true, Number: 53}}},
		{Name: "twin", Image: "hello", Ports: []provider.Port{{Number: 80}}},
		{Name: "job", Image: "hello"},
	}}
	for _, c := range []struct {
		subnet    string
		group     provider.Group
		addresses string
	}{
		{"", g, `{"ports":[{"port":80,"protocol":"TCP"},{"port":53,"protocol":"UDP"}],"type":"Public"}`},
		{"/the/subnet", g, "null"},
		{"", provider.Group{Name: "g", Containers: g.Containers[2:]}, "null"},
	} {
		p, bodies := recording(t, c.subnet)
		if err := p.Create(t.Context(), c.group); err != nil {
			t.Fatal(err)
		}
		body := <-bodies
		properties := body["properties"].(map[string]any)
		if got, _ := json.Marshal(properties["ipAddress"]); string(got) != c.addresses {
			t.Errorf("subnet %q: address %s, want %s", c.subnet, got, c.addresses)
		}
		web := properties["containers"].([]any)[0].(map[string]any)["properties"].(map[string]any)
		if len(c.group.Containers) == 3 && len(web["ports"].([]any)) != 2 {
			t.Errorf("subnet %q: ports of the container %v", c.subnet, web["ports"])
		}
	}
}

// recording returns a provider whose cloud takes every group, and the bodies.
func recording(t *testing.T, subnet string) (*aci.Provider, <-chan map[string]any) {
	t.Helper()
	bodies := make(chan map[string]any, 1)
	return against(t, subnet, func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		bodies <- body
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"name":"g","properties":{"provisioningState":"Pending","containers":[],"osType":"Linux"}}`)
	}), bodies
}

func TestARefusalIsOneLine(t *testing.T) {
	p := against(t, "/the/subnet", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"error":{"code":"ContainerGroupQuotaReached","message":"10 of 10 cores are used."}}`)
	})
	err := p.Create(context.Background(), provider.Group{Name: "g"})
	var refused *aci.Error
	if !errors.As(err, &refused) || refused.Code != "ContainerGroupQuotaReached" || refused.Status != 400 {
		t.Fatalf("Create = %v, want the cloud's code and status", err)
	}
	if got, want := err.Error(), "create container group g: ContainerGroupQuotaReached: 10 of 10 cores are used."; got != want {
		t.Errorf("Create said %q, want %q", got, want)
	}
}

func TestDeleteWaitsUntilTheGroupIsGone(t *testing.T) {
	var asked atomic.Int32
	p := against(t, "/the/subnet", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodDelete:
			w.Header().Set("Azure-AsyncOperation", "https://"+r.Host+"/operation?api-version=2023-05-01")
			w.Header().Set("Retry-After-Ms", "1")
			w.WriteHeader(http.StatusAccepted)
		case asked.Add(1) < 3:
			w.Header().Set("Retry-After-Ms", "1")
			io.WriteString(w, `{"status":"InProgress"}`)
		default:
			io.WriteString(w, `{"status":"Succeeded"}`)
		}
	})
	if err := p.Delete(context.Background(), "g"); err != nil {
		t.Fatal(err)
	}
	if asked.Load() != 3 {
		t.Errorf("Delete came back after %d answers, want 3", asked.Load())
	}
}

func TestDeletingWhatIsGoneIsNoError(t *testing.T) {
	for _, status := range []int{http.StatusNoContent, http.StatusNotFound} {
		p := against(t, "/the/subnet", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		if err := p.Delete(context.Background(), "g"); err != nil {
			t.Errorf("answer %d: Delete = %v", status, err)
		}
	}
}

func TestATransitioningGroupIsAskedAgain(t *testing.T) {
	var asked atomic.Int32
	p := against(t, "/the/subnet", func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) == 1 {
			w.Header().Set("Retry-After", "0.001")
			w.WriteHeader(http.StatusConflict)
			io.WriteString(w, `{"error":{"code":"ContainerGroupTransitioning","message":"retry later"}}`)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	if err := p.Delete(context.Background(), "g"); err != nil || asked.Load() != 2 {
		t.Errorf("Delete = %v after %d requests, want success at the second", err, asked.Load())
	}
}

func TestListFindsGroupsByTagOnEveryPage(t *testing.T) {
	group := func(name, node string) string {
		return fmt.Sprintf(`{"name":%q,"tags":{"node":%q},"properties":{"containers":[],"osType":"Linux"}}`, name, node)
	}
	p := against(t, "/the/subnet", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("page") == "2" {
			io.WriteString(w, `{"value":[`+group("c", "ours")+`,{"name":"untagged","properties":{"containers":[],"osType":"Linux"}}]}`)
			return
		}
		if !strings.HasPrefix(r.URL.Path, path) {
			t.Errorf("asked %s", r.URL.Path)
		}
		fmt.Fprintf(w, `{"value":[%s,%s],"nextLink":"https://%s%s?page=2"}`, group("a", "ours"), group("b", "theirs"), r.Host, path)
	})
	got, err := p.List(context.Background(), map[string]string{"node": "ours"})
	if err != nil {
		t.Fatal(err)
	}
	want := []provider.Listed{
		{Name: "a", Tags: map[string]string{"node": "ours"}},
		{Name: "c", Tags: map[string]string{"node": "ours"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List differs (-want +got):\n%s", diff)
	}
}
