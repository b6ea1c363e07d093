package resources_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v2"
	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/embedded/arm/armtest"
)

// address makes a public IP address.
func (w *world) address(t *testing.T, name string) armnetwork.PublicIPAddress {
	t.Helper()
	poller, err := w.addresses.BeginCreateOrUpdate(t.Context(), "g", name, armnetwork.PublicIPAddress{
		Location:   to.Ptr("local"),
		SKU:        &armnetwork.PublicIPAddressSKU{Name: to.Ptr(armnetwork.PublicIPAddressSKUNameStandard)},
		Properties: &armnetwork.PublicIPAddressPropertiesFormat{PublicIPAllocationMethod: to.Ptr(armnetwork.IPAllocationMethodStatic)},
	}, nil)
	made, err := done(t, poller, err)
	if err != nil {
		t.Fatal(err)
	}
	return made.PublicIPAddress
}

// gateway makes a NAT gateway with public IP addresses.
func (w *world) gateway(t *testing.T, name string, addresses ...string) (armnetwork.NatGateway, error) {
	t.Helper()
	var ids []*armnetwork.SubResource
	for _, id := range addresses {
		ids = append(ids, &armnetwork.SubResource{ID: &id})
	}
	poller, err := w.gateways.BeginCreateOrUpdate(t.Context(), "g", name, armnetwork.NatGateway{
		Location: to.Ptr("local"), SKU: &armnetwork.NatGatewaySKU{Name: to.Ptr(armnetwork.NatGatewaySKUNameStandard)},
		Properties: &armnetwork.NatGatewayPropertiesFormat{PublicIPAddresses: ids, IdleTimeoutInMinutes: to.Ptr(int32(10))},
	}, nil)
	made, err := done(t, poller, err)
	return made.NatGateway, err
}

// through gives the subnet "pods" of a network a NAT gateway.
func through(gateway string) string {
	return `{"properties":{"natGateway":{"id":"` + gateway + `"},"delegations":[{"name":"d","properties":{"serviceName":"` + toGroups + `"}}]}}`
}

func TestLifeOfAPublicIPAddress(t *testing.T) {
	w := start(t)
	first, second := w.address(t, "first"), w.address(t, "second")
	ip := *first.Properties.IPAddress
	if !strings.HasPrefix(ip, "203.0.113.") || ip == *second.Properties.IPAddress {
		t.Errorf("addresses %s and %s", ip, *second.Properties.IPAddress)
	}
	want := armnetwork.PublicIPAddress{
		ID: to.Ptr(inG + "publicIPAddresses/first"), Name: to.Ptr("first"), Type: to.Ptr("Microsoft.Network/publicIPAddresses"),
		Location: to.Ptr("local"), Etag: first.Etag,
		SKU: &armnetwork.PublicIPAddressSKU{Name: to.Ptr(armnetwork.PublicIPAddressSKUNameStandard), Tier: to.Ptr(armnetwork.PublicIPAddressSKUTierRegional)},
		Properties: &armnetwork.PublicIPAddressPropertiesFormat{
			ProvisioningState: to.Ptr(armnetwork.ProvisioningStateSucceeded), ResourceGUID: first.Properties.ResourceGUID, IPAddress: &ip,
			PublicIPAddressVersion: to.Ptr(armnetwork.IPVersionIPv4), PublicIPAllocationMethod: to.Ptr(armnetwork.IPAllocationMethodStatic),
			IdleTimeoutInMinutes: to.Ptr(int32(4)),
		},
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error(diff)
	}
	if again := w.address(t, "first"); *again.Properties.IPAddress != ip {
		t.Errorf("made again it has %s instead of %s", *again.Properties.IPAddress, ip)
	}
	if _, err := w.addresses.UpdateTags(t.Context(), "g", "first", armnetwork.TagsObject{Tags: map[string]*string{"a": to.Ptr("b")}}, nil); err != nil {
		t.Error(err)
	}
	page, err := w.addresses.NewListAllPager(nil).NextPage(t.Context())
	if err != nil || len(page.Value) != 2 {
		t.Errorf("listed %+v, %v", page.Value, err)
	}
	for range 2 {
		deletion, err := w.addresses.BeginDelete(t.Context(), "g", "first", nil)
		if _, err := done(t, deletion, err); err != nil {
			t.Fatal(err)
		}
	}
	if again := w.address(t, "first"); *again.Properties.IPAddress != ip {
		t.Errorf("made anew it has %s instead of %s", *again.Properties.IPAddress, ip)
	}
}

func TestASubnetIsOutboundThroughANATGateway(t *testing.T) {
	w := start(t)
	path := inG + "virtualNetworks/net"
	network := strings.ToLower(path)
	w.network(t, path, "10.0.0.0/16", "10.0.1.0/24")
	outbound := func(want bool, when string) {
		t.Helper()
		if sub, err := w.service.Subnet(path + "/subnets/pods"); err != nil || sub.Outbound != want {
			t.Errorf("%s: outbound %v, %v", when, sub.Outbound, err)
		}
	}
	outbound(false, "without a gateway")
	gateway, err := w.gateway(t, "nat")
	if err != nil {
		t.Fatal(err)
	}
	w.changes()
	w.put(t, path+"/subnets/pods", through(*gateway.ID))
	outbound(false, "through a gateway without an address")
	if diff := cmp.Diff([]string{network}, w.changes()); diff != "" {
		t.Errorf("changed by the subnet: %s", diff)
	}
	ip := w.address(t, "ip")
	if gateway, err = w.gateway(t, "nat", *ip.ID); err != nil {
		t.Fatal(err)
	}
	outbound(true, "through a gateway with an address")
	if diff := cmp.Diff([]string{network}, w.changes()); diff != "" {
		t.Errorf("changed by the gateway: %s", diff)
	}
	want := armnetwork.NatGateway{
		ID: to.Ptr(inG + "natGateways/nat"), Name: to.Ptr("nat"), Type: to.Ptr("Microsoft.Network/natGateways"), Location: to.Ptr("local"),
		Etag: gateway.Etag, SKU: &armnetwork.NatGatewaySKU{Name: to.Ptr(armnetwork.NatGatewaySKUNameStandard)},
		Properties: &armnetwork.NatGatewayPropertiesFormat{
			ProvisioningState: to.Ptr(armnetwork.ProvisioningStateSucceeded), ResourceGUID: gateway.Properties.ResourceGUID, IdleTimeoutInMinutes: to.Ptr(int32(10)),
			PublicIPAddresses: []*armnetwork.SubResource{{ID: ip.ID}}, Subnets: []*armnetwork.SubResource{{ID: to.Ptr(path + "/subnets/pods")}},
		},
	}
	if diff := cmp.Diff(want, gateway); diff != "" {
		t.Error(diff)
	}
	if got, err := w.addresses.Get(t.Context(), "g", "ip", nil); err != nil || *got.Properties.NatGateway.ID != *gateway.ID {
		t.Errorf("the address: %+v, %v", got.Properties, err)
	}
	if got, err := w.subnets.Get(t.Context(), "g", "net", "pods", nil); err != nil || *got.Properties.NatGateway.ID != *gateway.ID {
		t.Errorf("the subnet: %+v, %v", got.Properties, err)
	}
	if a := w.Do(t, w.token, "DELETE", *gateway.ID+version, ""); a.Status != http.StatusBadRequest || a.Code() != "InUseNatGatewayCannotBeDeleted" {
		t.Errorf("deletion of the gateway: %d %s", a.Status, a.Body)
	}
	if a := w.Do(t, w.token, "DELETE", *ip.ID+version, ""); a.Status != http.StatusBadRequest || a.Code() != "PublicIPAddressCannotBeDeleted" {
		t.Errorf("deletion of the address: %d %s", a.Status, a.Body)
	}
	if _, err := w.gateway(t, "another", *ip.ID); code(err) != "PublicIPAddressInUse" {
		t.Errorf("another gateway with the same address: %v", err)
	}
	w.network(t, inG+"virtualNetworks/far", "10.0.0.0/16", "10.0.1.0/24")
	a := w.Do(t, w.token, "PUT", inG+"virtualNetworks/far/subnets/pods"+version, through(*gateway.ID))
	if a.Code() != "NatGatewayCannotBeUsedBySubnetsBelongingToDifferentVirtualNetworks" {
		t.Errorf("a subnet of another network: %d %s", a.Status, a.Body)
	}
	w.network(t, path, "10.0.0.0/16", "10.0.1.0/24") // without it
	outbound(false, "without a gateway again")
	for _, id := range []string{*gateway.ID, *ip.ID} {
		if a := w.Do(t, w.token, "DELETE", id+version, ""); a.Status != http.StatusOK {
			t.Errorf("deletion of %s: %d %s", id, a.Status, a.Body)
		}
		if a := w.Do(t, w.token, "DELETE", id+version, ""); a.Status != http.StatusNoContent {
			t.Errorf("deletion of %s again: %d %s", id, a.Status, a.Body)
		}
	}
}

// contributor returns the token and the id of a principal that may do anything
// in the resource group "mine", and see everything.
func (w *world) contributor(t *testing.T) (token armtest.Token, principal string) {
	t.Helper()
	w.group(t, "mine")
	id := subscription + "/resourceGroups/mine/providers/Microsoft.ManagedIdentity/userAssignedIdentities/someone"
	u, _, err := w.Authority.PutUserAssigned(id, "local", nil)
	if err != nil {
		t.Fatal(err)
	}
	for scope, role := range map[string]string{
		subscription + "/resourceGroups/mine": "b24988ac-6180-42a0-ab88-20f7382dd24c",
		subscription:                          "acdd72a7-3385-48ef-bd42-f606fba81ae7",
	} {
		w.put(t, scope+"/providers/Microsoft.Authorization/roleAssignments/44444444-4444-4444-8444-4444444"+role[:5],
			`{"properties":{"roleDefinitionId":"`+role+`","principalId":"`+u.PrincipalID+`"}}`)
	}
	return w.As(t, id), u.PrincipalID
}

func TestWhatIsNotOnesOwnCannotBeUsed(t *testing.T) {
	w := start(t)
	someone, _ := w.contributor(t)
	mine := subscription + "/resourceGroups/mine" + provider
	ip := w.address(t, "ip")
	gateway, err := w.gateway(t, "nat", *ip.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.network(t, inG+"virtualNetworks/net", "10.0.0.0/16", "10.0.1.0/24")
	w.network(t, mine+"virtualNetworks/net", "10.0.0.0/16", "10.0.1.0/24")
	w.put(t, mine+"privateDnsZones/cluster.internal", `{"location":"global"}`)
	for _, test := range []struct{ name, method, path, body, want string }{
		{"read another's network", "GET", inG + "virtualNetworks/net", "", ""},
		{"delete another's network", "DELETE", inG + "virtualNetworks/net", "", "AuthorizationFailed"},
		{"change another's subnet", "PUT", inG + "virtualNetworks/net/subnets/pods", `{}`, "AuthorizationFailed"},
		{"change one's own subnet", "PUT", mine + "virtualNetworks/net/subnets/more", `{"properties":{"addressPrefix":"10.0.2.0/24"}}`, ""},
		{"a subnet with another's gateway", "PUT", mine + "virtualNetworks/net/subnets/pods", through(*gateway.ID), "LinkedAuthorizationFailed"},
		{"a network with another's gateway", "PUT", mine + "virtualNetworks/net",
			`{"location":"local","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[{"name":"a","properties":
			{"addressPrefix":"10.0.9.0/24","natGateway":{"id":"` + *gateway.ID + `"}}}]}}`, "LinkedAuthorizationFailed"},
		{"a gateway with another's address", "PUT", mine + "natGateways/nat",
			`{"location":"local","properties":{"publicIpAddresses":[{"id":"` + *ip.ID + `"}]}}`, "LinkedAuthorizationFailed"},
		{"a link to another's network", "PUT", mine + "privateDnsZones/cluster.internal/virtualNetworkLinks/a",
			`{"location":"global","properties":{"virtualNetwork":{"id":"` + inG + `virtualNetworks/net"}}}`, "LinkedAuthorizationFailed"},
		{"a link to one's own network", "PUT", mine + "privateDnsZones/cluster.internal/virtualNetworkLinks/a",
			`{"location":"global","properties":{"virtualNetwork":{"id":"` + mine + `virtualNetworks/net"}}}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if a := w.Do(t, someone, test.method, test.path+version, test.body); a.Code() != test.want || test.want == "" && a.Status > 299 {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
		})
	}
}
