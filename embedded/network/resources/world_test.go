package resources_test

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/privatedns/armprivatedns"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"frankenetes.dev/embedded/arm/armtest"
	"frankenetes.dev/embedded/deployments"
	"frankenetes.dev/embedded/network/resources"
)

const (
	subscription = "/subscriptions/" + armtest.Subscription
	provider     = "/providers/Microsoft.Network/"
	inG          = subscription + "/resourceGroups/g" + provider
	version      = "?api-version=2022-07-01"
	toGroups     = "Microsoft.ContainerInstance/containerGroups"
)

// world is a cloud with networks, and its owner's clients.
type world struct {
	*armtest.Cloud
	service *resources.Service
	token   armtest.Token
	clients

	mu      sync.Mutex
	users   map[string][]string
	changed []string
}

// clients are one principal's.
type clients struct {
	groups    *armresources.ResourceGroupsClient
	networks  *armnetwork.VirtualNetworksClient
	subnets   *armnetwork.SubnetsClient
	gateways  *armnetwork.NatGatewaysClient
	addresses *armnetwork.PublicIPAddressesClient
	zones     *armprivatedns.PrivateZonesClient
	links     *armprivatedns.VirtualNetworkLinksClient
	records   *armprivatedns.RecordSetsClient
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{users: map[string][]string{}}
	w.Cloud = armtest.Start(t, func(c *armtest.Cloud) {
		w.service = w.open(t, c)
		w.service.Register()
		if err := deployments.Register(c.ARM, deployments.Options{Store: c.Store, Tenant: armtest.Tenant, Log: c.Log}); err != nil {
			t.Fatal(err)
		}
	})
	w.token = w.OwnerToken(t)
	w.clients = w.newClients(t, w.token)
	w.group(t, "g")
	return w
}

// open opens the networks in the store of a cloud.
func (w *world) open(t *testing.T, c *armtest.Cloud) *resources.Service {
	t.Helper()
	service, err := resources.New(resources.Options{
		Store: c.Store, Server: c.ARM, Reserved: []netip.Prefix{netip.MustParsePrefix("198.18.0.0/15")},
		Users: func(subnet string) []string {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.users[subnet]
		},
		Changed: func(network string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.changed = append(w.changed, network)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func (w *world) newClients(t *testing.T, cred azcore.TokenCredential) clients {
	t.Helper()
	var c clients
	var errs [6]error
	c.groups, errs[0] = armresources.NewResourceGroupsClient(armtest.Subscription, cred, w.Options())
	c.networks, errs[1] = armnetwork.NewVirtualNetworksClient(armtest.Subscription, cred, w.Options())
	c.subnets, errs[2] = armnetwork.NewSubnetsClient(armtest.Subscription, cred, w.Options())
	c.gateways, errs[3] = armnetwork.NewNatGatewaysClient(armtest.Subscription, cred, w.Options())
	c.addresses, errs[4] = armnetwork.NewPublicIPAddressesClient(armtest.Subscription, cred, w.Options())
	names, err := armprivatedns.NewClientFactory(armtest.Subscription, cred, w.Options())
	errs[5] = err
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	c.zones, c.links, c.records = names.NewPrivateZonesClient(), names.NewVirtualNetworkLinksClient(), names.NewRecordSetsClient()
	return c
}

func (w *world) group(t *testing.T, name string) {
	t.Helper()
	if _, err := w.groups.CreateOrUpdate(t.Context(), name, armresources.ResourceGroup{Location: to.Ptr("local")}, nil); err != nil {
		t.Fatal(err)
	}
}

// use puts container groups into a subnet, or takes them out of it.
func (w *world) use(subnet string, users ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.users[strings.ToLower(subnet)] = users
}

// changes returns the networks that have changed since it was last asked.
func (w *world) changes() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	changed := w.changed
	w.changed = nil
	return slices.Compact(changed)
}

// put creates or replaces what is at a path, as the owner.
func (w *world) put(t *testing.T, path, body string) {
	t.Helper()
	if a := w.Do(t, w.token, http.MethodPut, path+version, body); a.Status != http.StatusCreated && a.Status != http.StatusOK {
		t.Fatalf("PUT %s: %d %s", path, a.Status, a.Body)
	}
}

// network makes a network with one subnet "pods" that is delegated.
func (w *world) network(t *testing.T, path, space, prefix string) {
	t.Helper()
	w.put(t, path, `{"location":"local","properties":{"addressSpace":{"addressPrefixes":["`+space+`"]},
		"subnets":[{"name":"pods","properties":{"addressPrefix":"`+prefix+`","delegations":[{"name":"d","properties":{"serviceName":"`+toGroups+`"}}]}}]}}`)
}

// code returns the code of an error of a client.
func code(err error) string {
	var e *azcore.ResponseError
	if errors.As(err, &e) {
		return e.ErrorCode
	}
	return ""
}

// done waits for what a client has begun.
func done[T any](t *testing.T, poller *runtime.Poller[T], err error) (T, error) {
	t.Helper()
	if err != nil {
		var none T
		return none, err
	}
	return poller.PollUntilDone(t.Context(), nil)
}
