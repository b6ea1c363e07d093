package resources_test

import (
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v2"
	"github.com/google/go-cmp/cmp"
)

func TestLifeOfAVirtualNetwork(t *testing.T) {
	w := start(t)
	asked := armnetwork.VirtualNetwork{
		Location: to.Ptr("Local"), Tags: map[string]*string{"a": to.Ptr("b")},
		Properties: &armnetwork.VirtualNetworkPropertiesFormat{
			AddressSpace: &armnetwork.AddressSpace{AddressPrefixes: []*string{to.Ptr("10.0.0.0/16"), to.Ptr("192.168.0.0/24")}},
			DhcpOptions:  &armnetwork.DhcpOptions{DNSServers: []*string{to.Ptr("10.0.0.5")}},
			Subnets: []*armnetwork.Subnet{{Name: to.Ptr("pods"), Properties: &armnetwork.SubnetPropertiesFormat{
				AddressPrefix: to.Ptr("10.0.1.0/24"),
				Delegations: []*armnetwork.Delegation{{Name: to.Ptr("aci"),
					Properties: &armnetwork.ServiceDelegationPropertiesFormat{ServiceName: to.Ptr(toGroups)}}},
			}}},
		},
	}
	poller, err := w.networks.BeginCreateOrUpdate(t.Context(), "g", "Net", asked, nil)
	made, err := done(t, poller, err)
	if err != nil {
		t.Fatal(err)
	}
	id := inG + "virtualNetworks/Net"
	etag := made.Etag
	want := armnetwork.VirtualNetwork{
		ID: to.Ptr(id), Name: to.Ptr("Net"), Type: to.Ptr("Microsoft.Network/virtualNetworks"), Location: to.Ptr("local"),
		Tags: asked.Tags, Etag: etag,
		Properties: &armnetwork.VirtualNetworkPropertiesFormat{
			ProvisioningState: to.Ptr(armnetwork.ProvisioningStateSucceeded), ResourceGUID: made.Properties.ResourceGUID,
			AddressSpace: asked.Properties.AddressSpace, DhcpOptions: asked.Properties.DhcpOptions,
			EnableDdosProtection: to.Ptr(false), VirtualNetworkPeerings: []*armnetwork.VirtualNetworkPeering{},
			Subnets: []*armnetwork.Subnet{{
				ID: to.Ptr(id + "/subnets/pods"), Name: to.Ptr("pods"), Type: to.Ptr("Microsoft.Network/virtualNetworks/subnets"), Etag: etag,
				Properties: &armnetwork.SubnetPropertiesFormat{
					ProvisioningState: to.Ptr(armnetwork.ProvisioningStateSucceeded), AddressPrefix: to.Ptr("10.0.1.0/24"),
					PrivateEndpointNetworkPolicies:    to.Ptr(armnetwork.VirtualNetworkPrivateEndpointNetworkPoliciesDisabled),
					PrivateLinkServiceNetworkPolicies: to.Ptr(armnetwork.VirtualNetworkPrivateLinkServiceNetworkPoliciesEnabled),
					Delegations: []*armnetwork.Delegation{{
						ID: to.Ptr(id + "/subnets/pods/delegations/aci"), Name: to.Ptr("aci"),
						Type: to.Ptr("Microsoft.Network/virtualNetworks/subnets/delegations"), Etag: etag,
						Properties: &armnetwork.ServiceDelegationPropertiesFormat{
							ProvisioningState: to.Ptr(armnetwork.ProvisioningStateSucceeded), ServiceName: to.Ptr(toGroups),
							Actions: []*string{to.Ptr("Microsoft.Network/virtualNetworks/subnets/action")},
						},
					}},
				},
			}},
		},
	}
	if diff := cmp.Diff(want, made.VirtualNetwork); diff != "" {
		t.Errorf("made: %s", diff)
	}
	if !strings.HasPrefix(*etag, `W/"`) || len(*made.Properties.ResourceGUID) != 36 {
		t.Errorf("etag %s, GUID %s", *etag, *made.Properties.ResourceGUID)
	}

	patched, err := w.networks.UpdateTags(t.Context(), "g", "net", armnetwork.TagsObject{Tags: map[string]*string{"c": to.Ptr("d")}}, nil)
	if err != nil || len(patched.Tags) != 1 || *patched.Tags["c"] != "d" || len(patched.Properties.Subnets) != 1 || *patched.Etag == *etag {
		t.Errorf("patched %+v, %v", patched.VirtualNetwork, err)
	}
	for name, list := range map[string]func() ([]*armnetwork.VirtualNetwork, error){
		"group": func() ([]*armnetwork.VirtualNetwork, error) {
			page, err := w.networks.NewListPager("g", nil).NextPage(t.Context())
			return page.Value, err
		},
		"subscription": func() ([]*armnetwork.VirtualNetwork, error) {
			page, err := w.networks.NewListAllPager(nil).NextPage(t.Context())
			return page.Value, err
		},
	} {
		if all, err := list(); err != nil || len(all) != 1 || *all[0].ID != id {
			t.Errorf("listed in the %s: %+v, %v", name, all, err)
		}
	}
	for range 2 {
		deletion, err := w.networks.BeginDelete(t.Context(), "g", "NET", nil)
		if _, err := done(t, deletion, err); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.networks.Get(t.Context(), "g", "Net", nil); code(err) != "ResourceNotFound" {
		t.Errorf("after its deletion: %v", err)
	}
}

func TestAPutOfANetworkReplacesItsSubnets(t *testing.T) {
	w := start(t)
	path := inG + "virtualNetworks/net"
	subnets := func() string {
		t.Helper()
		page, err := w.subnets.NewListPager("g", "net", nil).NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, sub := range page.Value {
			names = append(names, *sub.Name)
		}
		return strings.Join(names, " ")
	}
	body := func(subnets string) string {
		return `{"location":"local","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]}` + subnets + `}}`
	}
	first, err := w.networks.Get(t.Context(), "g", "net", nil)
	if code(err) != "ResourceNotFound" {
		t.Fatalf("before it is made: %+v, %v", first, err)
	}
	w.put(t, path, body(`,"subnets":[{"name":"a","properties":{"addressPrefix":"10.0.1.0/24"}},{"name":"b","properties":{"addressPrefix":"10.0.2.0/24"}}]`))
	made, err := w.networks.Get(t.Context(), "g", "net", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, subnets, want string }{
		{"that says nothing of them", ``, "a b"},
		{"that says null", `,"subnets":null`, "a b"},
		{"without one, with a new one", `,"subnets":[{"name":"B","properties":{}},{"name":"c","properties":{"addressPrefix":"10.0.1.0/24"}}]`, "b c"},
		{"of none", `,"subnets":[]`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.put(t, path, body(test.subnets))
			if got := subnets(); got != test.want {
				t.Errorf("there are %q", got)
			}
		})
	}
	again, err := w.networks.Get(t.Context(), "g", "net", nil)
	if err != nil || *again.Properties.ResourceGUID != *made.Properties.ResourceGUID || *again.Etag == *made.Etag {
		t.Errorf("GUID %s became %s, etag %s became %s, %v",
			*made.Properties.ResourceGUID, *again.Properties.ResourceGUID, *made.Etag, *again.Etag, err)
	}
}

func TestASubnetThatGoesTakesItsRolesAlong(t *testing.T) {
	w := start(t)
	someone, principal := w.contributor(t)
	path := inG + "virtualNetworks/net"
	w.network(t, path, "10.0.0.0/16", "10.0.1.0/24")
	const assignments = "/providers/Microsoft.Authorization/roleAssignments"
	w.put(t, path+"/subnets/pods"+assignments+"/55555555-5555-4555-8555-555555555555",
		`{"properties":{"roleDefinitionId":"4d97b98b-1d4f-4787-a291-c67834d212e7","principalId":"`+principal+`"}}`)
	put := func() string { return w.Do(t, someone, "PUT", path+"/subnets/pods"+version, `{}`).Code() }
	if got := put(); got != "" {
		t.Fatalf("with a role: %s", got)
	}
	w.put(t, path, `{"location":"local","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},"subnets":[]}}`)
	w.network(t, path, "10.0.0.0/16", "10.0.1.0/24")
	if got := put(); got != "AuthorizationFailed" {
		t.Errorf("with a role at the one that was there before: %s", got)
	}
}

func TestLifeOfASubnet(t *testing.T) {
	w := start(t)
	w.network(t, inG+"virtualNetworks/net", "10.0.0.0/16", "10.0.1.0/24")
	put := func(name string, properties armnetwork.SubnetPropertiesFormat) (armnetwork.Subnet, error) {
		poller, err := w.subnets.BeginCreateOrUpdate(t.Context(), "g", "net", name, armnetwork.Subnet{Properties: &properties}, nil)
		made, err := done(t, poller, err)
		return made.Subnet, err
	}
	made, err := put("Two", armnetwork.SubnetPropertiesFormat{AddressPrefixes: []*string{to.Ptr("10.0.2.0/29")},
		PrivateEndpointNetworkPolicies: to.Ptr(armnetwork.VirtualNetworkPrivateEndpointNetworkPoliciesEnabled)})
	if err != nil {
		t.Fatal(err)
	}
	if p := made.Properties; *made.ID != inG+"virtualNetworks/net/subnets/Two" || *p.AddressPrefix != "10.0.2.0/29" || len(p.AddressPrefixes) != 1 ||
		*p.PrivateEndpointNetworkPolicies != armnetwork.VirtualNetworkPrivateEndpointNetworkPoliciesEnabled || len(p.Delegations) != 0 {
		t.Errorf("made %+v", made)
	}
	// What the virtual kubelet does to a subnet that it finds: the prefix stays.
	kubelet := armnetwork.SubnetPropertiesFormat{Delegations: []*armnetwork.Delegation{{Name: to.Ptr("aciDelegation"),
		Properties: &armnetwork.ServiceDelegationPropertiesFormat{ServiceName: to.Ptr(toGroups), Actions: []*string{to.Ptr("Microsoft.Network/virtualNetworks/subnets/action")}}}}}
	if made, err = put("two", kubelet); err != nil || *made.Name != "Two" || *made.Properties.AddressPrefix != "10.0.2.0/29" || len(made.Properties.Delegations) != 1 {
		t.Errorf("delegated %+v, %v", made, err)
	}
	if _, err := put("three", kubelet); code(err) != "NoAddressPrefixOrPoolProvided" {
		t.Errorf("one that is not there: %v", err)
	}
	if _, err := put("three", armnetwork.SubnetPropertiesFormat{AddressPrefix: to.Ptr("10.0.0.0/17")}); code(err) != "NetcfgSubnetRangesOverlap" {
		t.Errorf("one over the others: %v", err)
	}
	for range 2 {
		deletion, err := w.subnets.BeginDelete(t.Context(), "g", "net", "TWO", nil)
		if _, err := done(t, deletion, err); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.subnets.Get(t.Context(), "g", "net", "two", nil); code(err) != "ResourceNotFound" {
		t.Errorf("after its deletion: %v", err)
	}
	if _, err := w.subnets.Get(t.Context(), "g", "net", "pods", nil); err != nil {
		t.Errorf("the other one: %v", err)
	}
}
