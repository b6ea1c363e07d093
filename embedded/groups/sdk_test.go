package groups

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/identity"
)

const (
	testSub    = "11111111-1111-1111-1111-111111111111"
	testTenant = "22222222-2222-2222-2222-222222222222"
)

// client is what an operator with the Azure SDK has.
type client struct {
	service        *Service
	groups         *aci.ContainerGroupsClient
	insides        *aci.ContainersClient
	locations      *aci.LocationClient
	operations     *aci.OperationsClient
	resourceGroups *armresources.ResourceGroupsClient
	url            string
	http           *http.Client
	token          azcore.TokenCredential
	options        policy.ClientOptions
	authority      *identity.Authority
}

// operate starts the service in a world and signs in to it.
func (w *world) operate(t *testing.T) *client {
	t.Helper()
	c := &client{service: New(w.options)}
	if err := c.service.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.service.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	var front http.Handler
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { front.ServeHTTP(rw, r) }))
	t.Cleanup(server.Close)
	authority, err := identity.New(identity.Options{Store: w.store, Tenant: testTenant, Subscription: testSub, Audiences: []string{server.URL}, Log: w.options.Log})
	if err != nil {
		t.Fatal(err)
	}
	operator, err := authority.Operator()
	if err == nil && operator.Secret == "" {
		operator.Secret, err = authority.RotateSecret(operator.ClientID)
	}
	if err != nil {
		t.Fatal(err)
	}
	manager := arm.New(arm.Options{Store: w.store, Verifier: authority, Subscription: testSub, Tenant: testTenant, Location: "local", Log: w.options.Log})
	t.Cleanup(manager.Close)
	c.service.Register(manager)
	exec, attach := c.service.ExecHandler(), c.service.AttachHandler()
	front = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case authority.Owns(r.URL.Path):
			authority.ServeHTTP(rw, r)
		case strings.HasPrefix(r.URL.Path, ExecPath):
			exec.ServeHTTP(rw, r)
		case strings.HasPrefix(r.URL.Path, AttachPath):
			attach.ServeHTTP(rw, r)
		default:
			manager.ServeHTTP(rw, r)
		}
	})
	c.authority = authority
	c.signIn(t, server, operator)
	return c
}

func (c *client) signIn(t *testing.T, server *httptest.Server, operator identity.Credential) {
	t.Helper()
	options := policy.ClientOptions{Transport: server.Client(), Cloud: azcloud.Configuration{
		ActiveDirectoryAuthorityHost: server.URL + "/",
		Services:                     map[azcloud.ServiceName]azcloud.ServiceConfiguration{azcloud.ResourceManager: {Endpoint: server.URL, Audience: server.URL}},
	}}
	c.url, c.http, c.options = server.URL, server.Client(), options
	credential := c.credential(t, operator)
	c.token = credential
	factory, err := aci.NewClientFactory(testSub, credential, &azarm.ClientOptions{ClientOptions: options})
	if err != nil {
		t.Fatal(err)
	}
	c.groups, c.insides = factory.NewContainerGroupsClient(), factory.NewContainersClient()
	if c.resourceGroups, err = armresources.NewResourceGroupsClient(testSub, credential, &azarm.ClientOptions{ClientOptions: options}); err != nil {
		t.Fatal(err)
	}
	c.locations, c.operations = factory.NewLocationClient(), factory.NewOperationsClient()
	c.resourceGroup(t, "rg")
}

// credential is what a service principal signs in with.
func (c *client) credential(t *testing.T, of identity.Credential) azcore.TokenCredential {
	t.Helper()
	credential, err := azidentity.NewClientSecretCredential(testTenant, of.ClientID, of.Secret,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: c.options, DisableInstanceDiscovery: true})
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

func (c *client) resourceGroup(t *testing.T, name string) {
	t.Helper()
	if _, err := c.resourceGroups.CreateOrUpdate(t.Context(), name, armresources.ResourceGroup{Location: to.Ptr("local")}, nil); err != nil {
		t.Fatal(err)
	}
}

func sdkContainer(name string) *aci.Container {
	return &aci.Container{Name: &name, Properties: &aci.ContainerProperties{
		Image: to.Ptr(testImage), Command: []*string{to.Ptr("/run")},
		Resources: &aci.ResourceRequirements{Requests: &aci.ResourceRequests{CPU: to.Ptr(0.5), MemoryInGB: to.Ptr(0.5)}},
	}}
}

func sdkGroup(containers ...*aci.Container) aci.ContainerGroup {
	return aci.ContainerGroup{Location: to.Ptr("local"), Properties: &aci.ContainerGroupPropertiesProperties{
		OSType: to.Ptr(aci.OperatingSystemTypesLinux), Containers: containers,
	}}
}

// create puts a group and polls, as the SDK does, until it is provisioned.
func (c *client) create(t *testing.T, name string, g aci.ContainerGroup) *aci.ContainerGroup {
	t.Helper()
	poller, err := c.groups.BeginCreateOrUpdate(t.Context(), "rg", name, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := poller.PollUntilDone(t.Context(), &runtime.PollUntilDoneOptions{Frequency: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return &r.ContainerGroup
}

func (c *client) get(t *testing.T, name string) *aci.ContainerGroup {
	t.Helper()
	r, err := c.groups.Get(t.Context(), "rg", name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &r.ContainerGroup
}

func (c *client) delete(t *testing.T, name string) {
	t.Helper()
	poller, err := c.groups.BeginDelete(t.Context(), "rg", name, nil)
	if err == nil {
		_, err = poller.PollUntilDone(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// refused returns the code with which a request was refused.
func refused(t *testing.T, err error) string {
	t.Helper()
	var response *azcore.ResponseError
	if !errors.As(err, &response) {
		t.Fatalf("want a refusal, got %v", err)
	}
	return response.ErrorCode
}

// eventually reads the group until what is asked of it holds. The runtime's
// events reach the service on a goroutine of their own.
func (c *client) eventually(t *testing.T, name, what string, holds func(*aci.ContainerGroup) bool) *aci.ContainerGroup {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		g := c.get(t, name)
		if holds(g) {
			return g
		}
		if !sleep(ctx, 2*time.Millisecond) {
			t.Fatalf("group %s never was %s: state %s", name, what, *g.Properties.InstanceView.State)
		}
	}
}

func (c *client) request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	token, err := c.token.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{c.url + "/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token.Token)
	request.Header.Set("Content-Type", "application/json")
	return request
}
