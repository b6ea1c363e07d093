package cluster

import (
	"net/netip"
	"strings"
	"testing"

	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"

	"frankenetes.dev/cloud"
	"frankenetes.dev/fault"
)

func TestRangesOfClusters(t *testing.T) {
	first, err := chooseRange("000000", nil)
	if err != nil || first.String() != "10.64.0.0/20" {
		t.Errorf("the first: %s, %v", first, err)
	}
	if last, err := chooseRange("ffffff", nil); err != nil || last.String() != "10.127.240.0/20" {
		t.Errorf("the last: %s, %v", last, err)
	}
	next, err := chooseRange("000000", []netip.Prefix{first, netip.MustParsePrefix("10.64.16.0/21"), netip.MustParsePrefix("192.168.0.0/16")})
	if err != nil || next.String() != "10.64.32.0/20" {
		t.Errorf("with two taken: %s, %v", next, err)
	}
	if around, err := chooseRange("ffffff", []netip.Prefix{netip.MustParsePrefix("10.127.240.0/20")}); err != nil || around != first {
		t.Errorf("after the last: %s, %v", around, err)
	}
	if _, err := chooseRange("123456", []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("with all taken: %v", err)
	}
}

func TestAClusterKeepsItsNetwork(t *testing.T) {
	for _, c := range []struct {
		has, wanted NetworkType
		want        fault.Kind
	}{
		{VNet, "", 0}, {VNet, VNet, 0}, {VNet, Public, fault.Conflict}, {Public, VNet, fault.Conflict},
		{"", Public, 0}, // of a version that had no other
		{"", VNet, fault.Conflict},
	} {
		err := Spec{Name: "demo", Network: c.has}.keepsNetwork(c.wanted)
		if (err == nil) != (c.want == 0) || err != nil && fault.KindOf(err) != c.want {
			t.Errorf("has %q, wanted %q: %v", c.has, c.wanted, err)
		}
	}
	if err := CheckNetwork("bridge"); fault.KindOf(err) != fault.Usage {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestComponentsInAVirtualNetwork(t *testing.T) {
	_, s, r := components(t)
	r.Spec.Network, s.spec.Network = VNet, VNet
	etcd, err := s.store(&Record{}, storage{})
	if err != nil {
		t.Fatal(err)
	}
	if line := strings.Join(etcd.command, " "); !strings.Contains(line, "https://etcd."+r.Spec.Name+".clusters.internal:2379") || strings.Contains(line, "azurecontainer.io") {
		t.Errorf("etcd tells its clients: %s", line)
	}
	if err := leafOf(t, etcd.secrets["server.crt"]).VerifyHostname("etcd." + r.Spec.Name + ".clusters.internal"); err != nil {
		t.Error(err)
	}
	g := etcd.group(r.Spec, storage{}, "/the/subnet")
	address := g.Properties.IPAddress
	if len(g.Properties.SubnetIDs) != 1 || *g.Properties.SubnetIDs[0].ID != "/the/subnet" || *address.Type != aci.ContainerGroupIPAddressTypePrivate || address.DNSNameLabel != nil || len(address.Ports) != 1 {
		t.Errorf("the group: %+v", address)
	}
	scheduler, err := s.scheduler()
	if err != nil {
		t.Fatal(err)
	}
	if g := scheduler.group(r.Spec, storage{}, "/the/subnet"); g.Properties.IPAddress != nil || len(g.Properties.SubnetIDs) != 1 {
		t.Errorf("a component that nobody calls: %+v", g.Properties.IPAddress)
	}
	node, err := s.node(nodeName(1), cloud.Identity{}, "/the/subnet")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(node.command, " "), "--subnet=/the/subnet") {
		t.Errorf("the node: %v", node.command)
	}
}
