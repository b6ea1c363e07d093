package resources_test

import (
	"strings"
	"testing"
)

// remove deletes a resource group.
func (w *world) remove(t *testing.T, name string) error {
	t.Helper()
	poller, err := w.groups.BeginDelete(t.Context(), name, nil)
	_, err = done(t, poller, err)
	return err
}

func TestAResourceGroupTakesItsNetworksAlong(t *testing.T) {
	w := start(t)
	w.group(t, "other")
	other := subscription + "/resourceGroups/other" + provider
	ip := w.address(t, "ip")
	gateway, err := w.gateway(t, "nat", *ip.ID)
	if err != nil {
		t.Fatal(err)
	}
	w.network(t, inG+"virtualNetworks/net", "10.0.0.0/16", "10.0.1.0/24")
	w.put(t, inG+"virtualNetworks/net/subnets/pods", through(*gateway.ID))
	w.put(t, inG+"privateDnsZones/own.internal", `{"location":"global"}`)
	w.put(t, other+"privateDnsZones/other.internal", `{"location":"global"}`)
	zones := func() (names []string) {
		page, err := w.zones.NewListPager(nil).NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, z := range page.Value {
			names = append(names, *z.ID)
		}
		return names
	}
	for _, zone := range zones() {
		w.put(t, zone+"/virtualNetworkLinks/l", `{"location":"global","properties":{"virtualNetwork":{"id":"`+inG+`virtualNetworks/net"}}}`)
		w.put(t, zone+"/A/a", `{"properties":{"ttl":10,"aRecords":[{"ipv4Address":"10.0.1.4"}]}}`)
	}
	network := strings.ToLower(inG + "virtualNetworks/net")
	for _, name := range []string{"a.own.internal", "a.other.internal"} {
		if addrs, _, _ := w.service.Resolve(network, name); len(addrs) != 1 {
			t.Errorf("%s is at %v", name, addrs)
		}
	}
	if err := w.remove(t, "g"); err != nil {
		t.Fatal(err)
	}
	if left := zones(); len(left) != 1 || left[0] != other+"privateDnsZones/other.internal" {
		t.Fatalf("zones %s", left)
	}
	if links, err := w.links.NewListPager("other", "other.internal", nil).NextPage(t.Context()); err != nil || len(links.Value) != 0 {
		t.Errorf("links to a network that is gone: %+v, %v", links.Value, err)
	}
	w.group(t, "g")
	for _, list := range []string{"virtualNetworks", "natGateways", "publicIPAddresses", "privateDnsZones"} {
		if a := w.Do(t, w.token, "GET", inG+list+version, ""); a.Body != `{"value":[]}` {
			t.Errorf("%s: %s", list, a.Body)
		}
	}
	for _, name := range []string{"a.own.internal", "a.other.internal"} {
		if _, _, authoritative := w.service.Resolve(network, name); authoritative {
			t.Errorf("%s is resolved for a network that is gone", name)
		}
	}
}

func TestWhatOtherResourceGroupsUseStays(t *testing.T) {
	w := start(t)
	w.group(t, "other")
	other := subscription + "/resourceGroups/other" + provider
	ip := w.address(t, "ip")
	w.put(t, other+"natGateways/nat", `{"location":"local","properties":{"publicIpAddresses":[{"id":"`+*ip.ID+`"}]}}`)
	if err := w.remove(t, "g"); code(err) != "ResourceGroupDeletionBlocked" || !strings.Contains(err.Error(), "publicIPAddresses/ip") {
		t.Errorf("with an address in use: %v", err)
	}
	w.network(t, inG+"virtualNetworks/net", "10.0.0.0/16", "10.0.1.0/24")
	w.put(t, inG+"virtualNetworks/net/subnets/pods", through(other+"natGateways/nat"))
	if err := w.remove(t, "other"); code(err) != "ResourceGroupDeletionBlocked" || !strings.Contains(err.Error(), "natGateways/nat") {
		t.Errorf("with a gateway in use: %v", err)
	}
	user := subscription + "/resourceGroups/other/providers/Microsoft.ContainerInstance/containerGroups/c"
	w.use(inG+"virtualNetworks/net/subnets/pods", user)
	if err := w.remove(t, "g"); code(err) != "ResourceGroupDeletionBlocked" || !strings.Contains(err.Error(), user) {
		t.Errorf("with a subnet in use: %v", err)
	}
	if sub, err := w.service.Subnet(inG + "virtualNetworks/net/subnets/pods"); err != nil || !sub.Outbound {
		t.Errorf("the subnet: %+v, %v", sub, err)
	}
}
