package resources_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/network/resources"
)

func TestASubnetInUseStaysAsItIs(t *testing.T) {
	w := start(t)
	path := inG + "virtualNetworks/net"
	w.network(t, path, "10.0.0.0/16", "10.0.1.0/24")
	group := subscription + "/resourceGroups/other/providers/Microsoft.ContainerInstance/containerGroups/c"
	w.use(path+"/subnets/pods", group)

	const delegated = `"delegations":[{"name":"other","properties":{"serviceName":"` + toGroups + `"}}]`
	const association = "/subnets/pods/providers/Microsoft.ContainerInstance/serviceAssociationLinks/default"
	network := func(space, subnets string) string {
		return `{"location":"local","properties":{"addressSpace":{"addressPrefixes":["` + space + `"]},"subnets":[` + subnets + `]}}`
	}
	for _, test := range []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"deletion", "DELETE", "/subnets/pods", "", 400, "InUseSubnetCannotBeDeleted"},
		{"deletion of the network", "DELETE", "", "", 400, "InUseSubnetCannotBeDeleted"},
		{"deletion of its link", "DELETE", association, "", 409, "SubnetInUse"},
		{"replacement of all subnets", "PUT", "", network("10.0.0.0/16", ""), 400, "InUseSubnetCannotBeDeleted"},
		{"another range", "PUT", "/subnets/pods", `{"properties":{"addressPrefix":"10.0.0.0/22",` + delegated + `}}`, 400, "InUsePrefixCannotBeDeleted"},
		{"no delegation", "PUT", "/subnets/pods", `{"properties":{"addressPrefix":"10.0.1.0/24"}}`, 400, "SubnetMissingRequiredDelegation"},
		{"an address space without it", "PUT", "", `{"location":"local","properties":{"addressSpace":{"addressPrefixes":["10.1.0.0/16"]}}}`, 400, "NetcfgSubnetRangeOutsideVnet"},
		{"a larger address space", "PUT", "", `{"location":"local","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/8"]}}}`, 200, ""},
		{"a delegation of another name", "PUT", "/subnets/pods", `{"properties":{"addressPrefix":"10.0.1.0/24",` + delegated + `}}`, 200, ""},
		{"another subnet", "PUT", "/subnets/more", `{"properties":{"addressPrefix":"10.0.2.0/24"}}`, 201, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := w.Do(t, w.token, test.method, path+test.path+version, test.body)
			if a.Status != test.status || a.Code() != test.code {
				t.Errorf("got %d %s", a.Status, a.Body)
			}
			if test.method == "DELETE" && !strings.Contains(a.Body, group) {
				t.Errorf("it does not say who uses it: %s", a.Body)
			}
		})
	}
	got, err := w.subnets.Get(t.Context(), "g", "net", "pods", nil)
	if err != nil {
		t.Fatal(err)
	}
	links := got.Properties.ServiceAssociationLinks
	if len(links) != 1 || *links[0].Name != "acisal" || *links[0].Properties.LinkedResourceType != toGroups || *links[0].ID != path+"/subnets/pods/serviceAssociationLinks/acisal" {
		t.Errorf("links: %+v", links)
	}

	w.use(path + "/subnets/pods")
	if got, err = w.subnets.Get(t.Context(), "g", "net", "pods", nil); err != nil || len(got.Properties.ServiceAssociationLinks) != 0 {
		t.Errorf("when it is not used any more: %+v, %v", got.Properties.ServiceAssociationLinks, err)
	}
	if a := w.Do(t, w.token, "DELETE", path+association+version, ""); a.Status != http.StatusOK {
		t.Errorf("deletion of the link: %d %s", a.Status, a.Body)
	}
	if a := w.Do(t, w.token, "DELETE", path+"/subnets/none/providers/Microsoft.ContainerInstance/serviceAssociationLinks/default"+version, ""); a.Status != http.StatusNoContent {
		t.Errorf("deletion of no link: %d %s", a.Status, a.Body)
	}
	if a := w.Do(t, w.token, "DELETE", path+version, ""); a.Status != http.StatusOK {
		t.Errorf("deletion of the network: %d %s", a.Status, a.Body)
	}
}

func TestWhatOthersAreToldOfASubnet(t *testing.T) {
	w := start(t)
	w.network(t, inG+"virtualNetworks/Net", "10.0.0.0/16", "10.0.1.0/24")
	got, err := w.service.Subnet(strings.ToUpper(inG) + "virtualnetworks/NET/subnets/PODS")
	want := resources.Subnet{
		ID: inG + "virtualNetworks/Net/subnets/pods", Network: strings.ToLower(inG + "virtualNetworks/Net"),
		Space: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}, Prefix: netip.MustParsePrefix("10.0.1.0/24"), Delegated: true,
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" || err != nil {
		t.Errorf("%s, %v", diff, err)
	}
	for id, status := range map[string]int{
		"":                                      400,
		inG + "virtualNetworks/Net":             400,
		inG + "virtualNetworks/Net/subnets/":    400,
		"x" + want.ID:                           400,
		want.ID + "/more":                       400,
		inG + "virtualNetworks/Net/subnets/no":  404,
		inG + "virtualNetworks/no/subnets/pods": 404,
	} {
		var refused *arm.Error
		if _, err := w.service.Subnet(id); !errors.As(err, &refused) || refused.Status != status {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestASubnetThatIsJoinedStays(t *testing.T) {
	w := start(t)
	path := inG + "virtualNetworks/net"
	w.network(t, path, "10.0.0.0/16", "10.0.1.0/24")
	answers := make(chan string)
	err := w.service.Join(path+"/subnets/pods", func() error {
		go func() { answers <- w.Do(t, w.token, "DELETE", path+version, "").Code() }()
		w.use(path+"/subnets/pods", "a group")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := <-answers; got != "InUseSubnetCannotBeDeleted" {
		t.Errorf("its deletion meanwhile: %s", got)
	}
	if err := w.service.Join(path+"/subnets/none", func() error { t.Error("joined none"); return nil }); err == nil {
		t.Error("a subnet that is not there can be joined")
	}
}

func TestChangesOfOneNetworkAtOnce(t *testing.T) {
	w := start(t)
	w.put(t, inG+"virtualNetworks/net", `{"location":"local","properties":{"addressSpace":{"addressPrefixes":["10.0.0.0/16"]}}}`)
	const each = 8
	var wg sync.WaitGroup
	status := make(chan int, 2*each)
	for i := range each {
		for _, name := range []string{"a", "b"} { // two for each range
			wg.Go(func() {
				a := w.Do(t, w.token, "PUT", fmt.Sprintf("%svirtualNetworks/net/subnets/%s%d%s", inG, name, i, version),
					fmt.Sprintf(`{"properties":{"addressPrefix":"10.0.%d.0/24"}}`, i))
				status <- a.Status
			})
		}
	}
	wg.Wait()
	close(status)
	count := map[int]int{}
	for s := range status {
		count[s]++
	}
	if diff := cmp.Diff(map[int]int{http.StatusCreated: each, http.StatusBadRequest: each}, count); diff != "" {
		t.Error(diff)
	}
	page, err := w.subnets.NewListPager("g", "net", nil).NextPage(t.Context())
	if err != nil || len(page.Value) != each {
		t.Errorf("there are %d, %v", len(page.Value), err)
	}
}

func TestNetworksOutliveTheDaemon(t *testing.T) {
	w := start(t)
	w.network(t, inG+"virtualNetworks/net", "10.0.0.0/16", "10.0.1.0/24")
	w.put(t, inG+"privateDnsZones/cluster.internal", `{"location":"global"}`)
	w.put(t, inG+"privateDnsZones/cluster.internal/virtualNetworkLinks/l", `{"location":"global","properties":{"virtualNetwork":{"id":"`+inG+`virtualNetworks/net"}}}`)
	w.put(t, inG+"privateDnsZones/cluster.internal/A/etcd", `{"properties":{"ttl":10,"aRecords":[{"ipv4Address":"10.0.1.4"}]}}`)
	next := w.open(t, w.Cloud)
	if sub, err := next.Subnet(inG + "virtualNetworks/net/subnets/pods"); err != nil || !sub.Delegated || sub.Prefix.String() != "10.0.1.0/24" {
		t.Errorf("the subnet: %+v, %v", sub, err)
	}
	addrs, ttl, authoritative := next.Resolve(strings.ToLower(inG+"virtualNetworks/net"), "etcd.cluster.internal")
	if fmt.Sprint(addrs) != "[10.0.1.4]" || ttl != 10 || !authoritative {
		t.Errorf("the name: %v, %d, %v", addrs, ttl, authoritative)
	}
}
