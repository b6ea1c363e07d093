package cloudtest

import "testing"

// TestAzNetwork handles networks with az's commands for resources of any type:
// those of its own for networks fail in the version that Debian has.
func TestAzNetwork(t *testing.T) {
	a := newAzure(newCloud(t))
	a.part("create", testAzNetworkMaking)
	a.part("show, change", testAzNetworkResources)
	a.part("delete", testAzNetworkDelete)
}

// make makes something of Microsoft.Network, given its whole body. az wants a
// location in it even where there is none.
func (a *azure) make(path, body string) {
	a.T.Helper()
	a.run("resource", "create", "--id", a.network(path), "--is-full-object", "-p", body)
}

func testAzNetworkMaking(a *azure) {
	here := `"location":"` + a.conn.Location + `"`
	together(
		func() {
			a.make("publicIPAddresses/ip", `{`+here+`,"sku":{"name":"Standard"},"properties":{"publicIPAllocationMethod":"Static"}}`)
		},
		func() {
			a.make("virtualNetworks/net", `{`+here+`,"properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]}}}`)
		},
		func() { a.make("privateDnsZones/cluster.internal", `{"location":"global"}`) },
	)
	a.make("natGateways/nat", `{`+here+`,"sku":{"name":"Standard"},"properties":{"publicIpAddresses":[{"id":"`+a.network("publicIPAddresses/ip")+`"}]}}`)
	together(
		func() {
			a.make("virtualNetworks/net/subnets/groups", `{`+here+`,"properties":{"addressPrefix":"10.0.1.0/24","natGateway":{"id":"`+a.network("natGateways/nat")+`"},
				"delegations":[{"name":"aci","properties":{"serviceName":"Microsoft.ContainerInstance/containerGroups"}}]}}`)
		},
		func() {
			a.make("privateDnsZones/cluster.internal/virtualNetworkLinks/net",
				`{"location":"global","properties":{"registrationEnabled":false,"virtualNetwork":{"id":"`+a.network("virtualNetworks/net")+`"}}}`)
		},
		func() {
			a.make("privateDnsZones/cluster.internal/A/etcd", `{`+here+`,"properties":{"ttl":10,"aRecords":[{"ipv4Address":"10.0.1.4"}]}}`)
		},
	)
	var listed []struct{ Name, Type string }
	a.decode(&listed, "resource", "list", "-g", resourceGroup) // of the default location: the zone has another
	if len(listed) != 3 {
		a.T.Errorf("resources %+v", listed)
	}
}

// network is the ARM id of something of Microsoft.Network.
func (a *azure) network(path string) string {
	return "/subscriptions/" + a.conn.SubscriptionID + "/resourceGroups/" + resourceGroup + "/providers/Microsoft.Network/" + path
}

// azSubnet is what az says of a subnet.
type azSubnet struct {
	ID, Name   string
	Properties struct {
		AddressPrefix, ProvisioningState string
		Delegations                      []struct{ Properties struct{ ServiceName string } }
		NatGateway                       *struct{ ID string }
		DefaultOutboundAccess            *bool
	}
}

func testAzNetworkResources(a *azure) {
	var sub azSubnet
	var zone struct {
		Properties struct{ NumberOfRecordSets, NumberOfVirtualNetworkLinks int }
	}
	var set struct {
		Properties struct {
			FQDN     string
			ARecords []struct{ IPv4Address string }
		}
	}
	subnet := a.network("virtualNetworks/net/subnets/groups")
	together(
		func() { a.decode(&sub, "resource", "show", "--ids", subnet) },
		func() { a.decode(&zone, "resource", "show", "--ids", a.network("privateDnsZones/cluster.internal")) },
		func() {
			a.decode(&set, "resource", "show", "--ids", a.network("privateDnsZones/cluster.internal/A/etcd"))
		},
	)
	if p := sub.Properties; sub.Name != "groups" || p.AddressPrefix != "10.0.1.0/24" || p.ProvisioningState != "Succeeded" || p.NatGateway == nil ||
		len(p.Delegations) != 1 || p.Delegations[0].Properties.ServiceName != "Microsoft.ContainerInstance/containerGroups" {
		a.T.Errorf("subnet %+v", sub)
	}
	if zone.Properties.NumberOfRecordSets != 1 || zone.Properties.NumberOfVirtualNetworkLinks != 1 {
		a.T.Errorf("zone %+v", zone)
	}
	if set.Properties.FQDN != "etcd.cluster.internal." || len(set.Properties.ARecords) != 1 || set.Properties.ARecords[0].IPv4Address != "10.0.1.4" {
		a.T.Errorf("record set %+v", set)
	}
	a.run("resource", "update", "--ids", subnet, "--set", "properties.defaultOutboundAccess=false")
	a.decode(&sub, "resource", "show", "--ids", subnet)
	if p := sub.Properties; p.DefaultOutboundAccess == nil || p.NatGateway == nil || len(p.Delegations) != 1 {
		a.T.Errorf("changed subnet %+v", sub)
	}
}

func testAzNetworkDelete(a *azure) {
	const undeleted = "Some resources failed to be deleted" // it does not say why
	together(
		func() {
			a.fails(undeleted, "resource", "delete", "--ids", a.network("natGateways/nat"))
		},
		func() {
			a.fails(undeleted, "resource", "delete", "--ids", a.network("publicIPAddresses/ip"))
		},
		func() {
			a.fails(undeleted, "resource", "delete", "--ids", a.network("privateDnsZones/cluster.internal"))
		},
		func() {
			a.fails("NetcfgSubnetRangesOverlap", "resource", "create", "--id", a.network("virtualNetworks/net/subnets/more"),
				"--properties", `{"addressPrefix":"10.0.1.0/25"}`)
		},
	)
	a.run("resource", "delete", "--ids", a.network("virtualNetworks/net/subnets/groups/providers/Microsoft.ContainerInstance/serviceAssociationLinks/default"),
		"--api-version", "2018-10-01")
	a.run("resource", "delete", "--ids", a.network("virtualNetworks/net/subnets/groups"))
	a.run("group", "delete", "-n", resourceGroup, "-y")
	var left []struct{ ID string }
	a.decode(&left, "resource", "list")
	if len(left) != 0 {
		a.T.Errorf("left: %+v", left)
	}
}
