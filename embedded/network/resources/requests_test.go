package resources_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBadNetworkRequests(t *testing.T) {
	w := start(t)
	w.network(t, inG+"virtualNetworks/net", "10.0.0.0/16", "10.0.1.0/24")
	w.put(t, inG+"publicIPAddresses/ip", `{"location":"local","sku":{"name":"Standard"},"properties":{"publicIPAllocationMethod":"Static"}}`)
	w.put(t, inG+"natGateways/nat", `{"location":"local"}`)
	w.put(t, inG+"privateDnsZones/a.example", `{"location":"global"}`)
	w.put(t, inG+"privateDnsZones/a.example/virtualNetworkLinks/l", `{"location":"global","properties":{"virtualNetwork":{"id":"`+inG+`virtualNetworks/net"}}}`)
	w.group(t, "h")
	inH := subscription + "/resourceGroups/h" + provider
	w.put(t, inH+"privateDnsZones/a.example", `{"location":"global"}`)
	w.put(t, inH+"virtualNetworks/net", `{"location":"local","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]}}}`)

	network := func(properties string) string { return `{"location":"local","properties":{` + properties + `}}` }
	space := func(prefixes string) string { return network(`"addressSpace":{"addressPrefixes":[` + prefixes + `]}`) }
	in10 := func(more string) string {
		return network(`"addressSpace":{"addressPrefixes":["10.0.0.0/16"]},` + more)
	}
	subnet := func(properties string) string {
		return `{"properties":{"addressPrefix":"10.0.2.0/24",` + properties + `}}`
	}
	address := func(properties string) string {
		return `{"location":"local","sku":{"name":"Standard"},"properties":{"publicIPAllocationMethod":"Static",` + properties + `}}`
	}
	link := func(properties string) string { return `{"location":"global","properties":{` + properties + `}}` }
	toNet := `"virtualNetwork":{"id":"` + inG + `virtualNetworks/net"}`
	long := strings.Repeat("a", 81)
	type want struct {
		Status int
		Code   string
	}
	for _, test := range []struct {
		name, path, body string
		want             want
	}{
		// Virtual networks.
		{"not JSON", "virtualNetworks/n1", `{`, want{400, "InvalidRequestContent"}},
		{"nothing", "virtualNetworks/n1", ``, want{400, "InvalidRequestContent"}},
		{"prefix that is a number", "virtualNetworks/n1", space(`10`), want{400, "InvalidRequestContent"}},
		{"no location", "virtualNetworks/n1", `{"properties":{}}`, want{400, "LocationRequired"}},
		{"another location", "virtualNetworks/n1", `{"location":"westus","properties":{}}`, want{400, "LocationNotAvailableForResourceType"}},
		{"bad tags", "virtualNetworks/n1", `{"location":"local","tags":{"":"x"}}`, want{400, "InvalidTagName"}},
		{"name of one letter", "virtualNetworks/n", space(`"10.0.0.0/16"`), want{400, "InvalidResourceName"}},
		{"name that begins with a dash", "virtualNetworks/-net", space(`"10.0.0.0/16"`), want{400, "InvalidResourceName"}},
		{"name of 65 letters", "virtualNetworks/" + long[:65], space(`"10.0.0.0/16"`), want{400, "InvalidResourceName"}},
		{"name with a slash", "virtualNetworks/a%2fb", space(`"10.0.0.0/16"`), want{400, "InvalidRequestUri"}},
		{"no address space", "virtualNetworks/n1", `{"location":"local"}`, want{400, "NoAddressPrefixOrPoolProvided"}},
		{"empty address space", "virtualNetworks/n1", space(``), want{400, "NoAddressPrefixOrPoolProvided"}},
		{"no prefix", "virtualNetworks/n1", space(`"ten"`), want{400, "InvalidAddressPrefixFormat"}},
		{"address without length", "virtualNetworks/n1", space(`"10.0.0.0"`), want{400, "InvalidAddressPrefixFormat"}},
		{"length of 160", "virtualNetworks/n1", space(`"10.0.0.0/160"`), want{400, "InvalidAddressPrefixFormat"}},
		{"bits of the host", "virtualNetworks/n1", space(`"10.0.0.1/16"`), want{400, "InvalidCIDRNotation"}},
		{"IPv6", "virtualNetworks/n1", space(`"fd00::/48"`), want{400, "NotSupported"}},
		{"too large", "virtualNetworks/n1", space(`"10.0.0.0/7"`), want{400, "NetcfgInvalidIPAddressPrefix"}},
		{"too small", "virtualNetworks/n1", space(`"10.0.0.0/30"`), want{400, "NetcfgInvalidIPAddressPrefix"}},
		{"loopback", "virtualNetworks/n1", space(`"127.0.0.0/16"`), want{400, "NetcfgInvalidIPAddressPrefix"}},
		{"link-local", "virtualNetworks/n1", space(`"169.254.0.0/16"`), want{400, "NetcfgInvalidIPAddressPrefix"}},
		{"multicast", "virtualNetworks/n1", space(`"224.0.0.0/8"`), want{400, "NetcfgInvalidIPAddressPrefix"}},
		{"Azure's own address", "virtualNetworks/n1", space(`"168.63.0.0/16"`), want{400, "NetcfgInvalidIPAddressPrefix"}},
		{"the cloud's own range", "virtualNetworks/n1", space(`"198.18.0.0/24"`), want{400, "NetcfgInvalidIPAddressPrefix"}},
		{"prefixes that overlap", "virtualNetworks/n1", space(`"10.0.0.0/16","10.0.1.0/24"`), want{400, "NetcfgInvalidIPAddressPrefix"}},
		{"DNS server that is no address", "virtualNetworks/n1", in10(`"dhcpOptions":{"dnsServers":["dns"]}`), want{400, "InvalidIPAddress"}},
		{"peering", "virtualNetworks/n1", in10(`"virtualNetworkPeerings":[{"name":"p"}]`), want{400, "NotSupported"}},
		{"DDoS protection", "virtualNetworks/n1", in10(`"enableDdosProtection":true`), want{400, "NotSupported"}},
		{"encryption", "virtualNetworks/n1", in10(`"encryption":{"enabled":true}`), want{400, "NotSupported"}},
		{"subnets of the same name", "virtualNetworks/n1", in10(`"subnets":[{"name":"a","properties":{"addressPrefix":"10.0.0.0/24"}},` +
			`{"name":"A","properties":{"addressPrefix":"10.0.1.0/24"}}]`), want{400, "DuplicateResourceName"}},
		{"subnets that overlap", "virtualNetworks/n1", in10(`"subnets":[{"name":"a","properties":{"addressPrefix":"10.0.0.0/24"}},` +
			`{"name":"b","properties":{"addressPrefix":"10.0.0.128/25"}}]`), want{400, "NetcfgSubnetRangesOverlap"}},
		{"subnet without a name", "virtualNetworks/n1", in10(`"subnets":[{"properties":{"addressPrefix":"10.0.0.0/24"}}]`), want{400, "InvalidResourceName"}},
		{"subnet without a prefix", "virtualNetworks/n1", in10(`"subnets":[{"name":"a"}]`), want{400, "NoAddressPrefixOrPoolProvided"}},
		{"space without a subnet", "virtualNetworks/net", space(`"10.0.2.0/24"`), want{400, "NetcfgSubnetRangeOutsideVnet"}},

		// Subnets.
		{"subnet of no network", "virtualNetworks/none/subnets/a", subnet(`"x":1`), want{404, "ParentResourceNotFound"}},
		{"subnet with a long name", "virtualNetworks/net/subnets/" + long, subnet(`"x":1`), want{400, "InvalidResourceName"}},
		{"subnet outside", "virtualNetworks/net/subnets/a", `{"properties":{"addressPrefix":"10.1.0.0/24"}}`, want{400, "NetcfgSubnetRangeOutsideVnet"}},
		{"subnet larger than the network", "virtualNetworks/net/subnets/a", `{"properties":{"addressPrefix":"10.0.0.0/15"}}`, want{400, "NetcfgSubnetRangeOutsideVnet"}},
		{"subnet over another one", "virtualNetworks/net/subnets/a", `{"properties":{"addressPrefix":"10.0.1.0/25"}}`, want{400, "NetcfgSubnetRangesOverlap"}},
		{"subnet of four addresses", "virtualNetworks/net/subnets/a", `{"properties":{"addressPrefix":"10.0.2.0/30"}}`, want{400, "NetcfgInvalidSubnet"}},
		{"subnet with bits of the host", "virtualNetworks/net/subnets/a", `{"properties":{"addressPrefix":"10.0.2.1/24"}}`, want{400, "InvalidCIDRNotation"}},
		{"two prefixes", "virtualNetworks/net/subnets/a", `{"properties":{"addressPrefixes":["10.0.2.0/24","10.0.3.0/24"]}}`, want{400, "NotSupported"}},
		{"prefixes that differ", "virtualNetworks/net/subnets/a", subnet(`"addressPrefixes":["10.0.3.0/24"]`), want{400, "InvalidRequestFormat"}},
		{"network security group", "virtualNetworks/net/subnets/a", subnet(`"networkSecurityGroup":{"id":"x"}`), want{400, "NotSupported"}},
		{"route table", "virtualNetworks/net/subnets/a", subnet(`"routeTable":{"id":"x"}`), want{400, "NotSupported"}},
		{"service endpoint", "virtualNetworks/net/subnets/a", subnet(`"serviceEndpoints":[{"service":"Microsoft.Storage"}]`), want{400, "NotSupported"}},
		{"delegation to another service", "virtualNetworks/net/subnets/a", subnet(`"delegations":[{"name":"d","properties":{"serviceName":"Microsoft.Web/serverFarms"}}]`),
			want{400, "InvalidServiceNameOnDelegation"}},
		{"delegation to none", "virtualNetworks/net/subnets/a", subnet(`"delegations":[{"name":"d"}]`), want{400, "ServiceNameOnDelegationNotSpecified"}},
		{"delegation without a name", "virtualNetworks/net/subnets/a", subnet(`"delegations":[{"properties":{"serviceName":"` + toGroups + `"}}]`), want{400, "InvalidRequestFormat"}},
		{"gateway that is not there", "virtualNetworks/net/subnets/a", subnet(`"natGateway":{"id":"` + inG + `natGateways/none"}`), want{400, "InvalidResourceReference"}},
		{"gateway that is something else", "virtualNetworks/net/subnets/a", subnet(`"natGateway":{"id":"` + inG + `publicIPAddresses/ip"}`), want{400, "LinkedInvalidPropertyId"}},
		{"gateway of another subscription", "virtualNetworks/net/subnets/a",
			subnet(`"natGateway":{"id":"/subscriptions/other/resourceGroups/g/providers/Microsoft.Network/natGateways/nat"}`), want{403, "LinkedAuthorizationFailed"}},

		// Gateways and addresses.
		{"gateway of another sku", "natGateways/n", `{"location":"local","sku":{"name":"StandardV2"}}`, want{400, "NotSupported"}},
		{"gateway that waits too long", "natGateways/n", network(`"idleTimeoutInMinutes":121`), want{400, "InvalidIdleTimeout"}},
		{"gateway with prefixes", "natGateways/n", network(`"publicIpPrefixes":[{"id":"x"}]`), want{400, "NotSupported"}},
		{"gateway without its address", "natGateways/n", network(`"publicIpAddresses":[{"id":"` + inG + `publicIPAddresses/none"}]`), want{400, "InvalidResourceReference"}},
		{"gateway with no id", "natGateways/n", network(`"publicIpAddresses":[{"id":""}]`), want{400, "LinkedInvalidPropertyId"}},
		{"address without sku", "publicIPAddresses/a", network(`"publicIPAllocationMethod":"Static"`), want{400, "IPv4BasicSkuPublicIpCountLimitReached"}},
		{"address of another sku", "publicIPAddresses/a", `{"location":"local","sku":{"name":"StandardV2"}}`, want{400, "NotSupported"}},
		{"global address", "publicIPAddresses/a", `{"location":"local","sku":{"name":"Standard","tier":"Global"}}`, want{400, "NotSupported"}},
		{"dynamic address", "publicIPAddresses/a", address(`"publicIPAllocationMethod":"Dynamic"`), want{400, "StandardAndStandardV2SkuPublicIPAddressesMustBeStatic"}},
		{"IPv6 address", "publicIPAddresses/a", address(`"publicIPAddressVersion":"IPv6"`), want{400, "NotSupported"}},
		{"address with a name", "publicIPAddresses/a", address(`"dnsSettings":{"domainNameLabel":"x"}`), want{400, "NotSupported"}},
		{"address that waits too little", "publicIPAddresses/a", address(`"idleTimeoutInMinutes":3`), want{400, "InvalidIdleTimeout"}},

		// Private DNS zones.
		{"zone that is not global", "privateDnsZones/b.example", `{"location":"local"}`, want{400, "LocationNotAvailableForResourceType"}},
		{"zone of one label", "privateDnsZones/example", `{"location":"global"}`, want{400, "BadRequest"}},
		{"zone with an empty label", "privateDnsZones/b..example", `{"location":"global"}`, want{400, "BadRequest"}},
		{"zone with a long label", "privateDnsZones/" + long + ".example", `{"location":"global"}`, want{400, "BadRequest"}},
		{"zone with a blank", "privateDnsZones/b%20.example", `{"location":"global"}`, want{400, "BadRequest"}},
		{"link of no zone", "privateDnsZones/none.example/virtualNetworkLinks/l", link(toNet), want{404, "ParentResourceNotFound"}},
		{"link to nothing", "privateDnsZones/a.example/virtualNetworkLinks/m", link(``), want{400, "BadRequest"}},
		{"link to no network", "privateDnsZones/a.example/virtualNetworkLinks/m", link(`"virtualNetwork":{"id":"` + inG + `virtualNetworks/none"}`), want{400, "InvalidResourceReference"}},
		{"link to no id", "privateDnsZones/a.example/virtualNetworkLinks/m", link(`"virtualNetwork":{"id":"net"}`), want{400, "LinkedInvalidPropertyId"}},
		{"link with another policy", "privateDnsZones/a.example/virtualNetworkLinks/m", link(toNet + `,"resolutionPolicy":"NxDomainRedirect"`), want{400, "NotSupported"}},
		{"second link to a network", "privateDnsZones/a.example/virtualNetworkLinks/m", link(toNet), want{400, "BadRequest"}},
		{"link to another network", "privateDnsZones/a.example/virtualNetworkLinks/l", link(`"virtualNetwork":{"id":"` + inH + `virtualNetworks/net"}`), want{400, "BadRequest"}},
		{"record of no zone", "privateDnsZones/none.example/A/a", `{"properties":{"ttl":1}}`, want{404, "ParentResourceNotFound"}},
		{"record without ttl", "privateDnsZones/a.example/A/a", `{"properties":{}}`, want{400, "BadRequest"}},
		{"record with ttl 0", "privateDnsZones/a.example/A/a", `{"properties":{"ttl":0}}`, want{400, "BadRequest"}},
		{"record with a long ttl", "privateDnsZones/a.example/A/a", `{"properties":{"ttl":2147483648}}`, want{400, "BadRequest"}},
		{"record that is no address", "privateDnsZones/a.example/A/a", `{"properties":{"ttl":1,"aRecords":[{"ipv4Address":"here"}]}}`, want{400, "BadRequest"}},
		{"record of IPv6", "privateDnsZones/a.example/A/a", `{"properties":{"ttl":1,"aRecords":[{"ipv4Address":"fd00::1"}]}}`, want{400, "BadRequest"}},
		{"record twice", "privateDnsZones/a.example/A/a", `{"properties":{"ttl":1,"aRecords":[{"ipv4Address":"10.0.0.1"},{"ipv4Address":"10.0.0.1"}]}}`, want{400, "BadRequest"}},
		{"record with a * inside", "privateDnsZones/a.example/A/a.*", `{"properties":{"ttl":1}}`, want{400, "BadRequest"}},
		{"record with a blank", "privateDnsZones/a.example/A/a%20b", `{"properties":{"ttl":1}}`, want{400, "BadRequest"}},
		{"record that is too long", "privateDnsZones/a.example/A/" + strings.Repeat("a.", 125) + "a", `{"properties":{"ttl":1}}`, want{400, "BadRequest"}},
		{"record of another type", "privateDnsZones/a.example/CNAME/a", `{"properties":{"ttl":1,"cnameRecord":{"cname":"x"}}}`, want{400, "NotSupported"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := w.Do(t, w.token, "PUT", inG+test.path+version, test.body)
			if diff := cmp.Diff(test.want, want{a.Status, a.Code()}); diff != "" {
				t.Errorf("%s\n%s", diff, a.Body)
			}
		})
	}
	t.Run("the second zone of a name", func(t *testing.T) {
		a := w.Do(t, w.token, "PUT", inH+"privateDnsZones/a.example/virtualNetworkLinks/l"+version, link(toNet))
		if a.Code() != "BadRequest" || !strings.Contains(a.Body, "overlapping namespaces") {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	})
}

func TestWhatDoesNoHarmIsKept(t *testing.T) {
	w := start(t)
	w.put(t, inG+"virtualNetworks/net", `{"location":"local","etag":"x","properties":{"provisioningState":"Failed","addressSpace":{"addressPrefixes":["10.0.0.0/16"]},
		"virtualNetworkPeerings":[],"enableDdosProtection":false,"bgpCommunities":null,"encryption":{"enabled":false},"flowTimeoutInMinutes":5,
		"subnets":[{"name":"a","id":"x","etag":"y","properties":{"addressPrefix":"10.0.0.0/24","addressPrefixes":["10.0.0.0/24"],"serviceEndpoints":[],
			"networkSecurityGroup":null,"routeTable":{},"defaultOutboundAccess":false,"privateEndpointNetworkPolicies":"Enabled",
			"serviceAssociationLinks":[{"name":"acisal"}],"ipConfigurations":[{"id":"x"}],"purpose":"p"}}]}}`)
	a := w.Do(t, w.token, "GET", inG+"virtualNetworks/net"+version, "")
	for _, part := range []string{`"provisioningState":"Succeeded"`, `"flowTimeoutInMinutes":5`, `"defaultOutboundAccess":false`,
		`"privateEndpointNetworkPolicies":"Enabled"`, `"privateLinkServiceNetworkPolicies":"Enabled"`, `"addressPrefixes":["10.0.0.0/24"]`} {
		if !strings.Contains(a.Body, part) {
			t.Errorf("there is no %s in %s", part, a.Body)
		}
	}
	if strings.Contains(a.Body, "acisal") || strings.Contains(a.Body, "ipConfigurations") {
		t.Errorf("what a client says of its users is shown: %s", a.Body)
	}
	// What is shown can be sent again.
	w.put(t, inG+"virtualNetworks/net", a.Body)
	if again := w.Do(t, w.token, "GET", inG+"virtualNetworks/net/subnets/a"+version, ""); again.Status != 200 {
		t.Errorf("got %d %s", again.Status, again.Body)
	}
}
