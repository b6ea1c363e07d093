package resources_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/privatedns/armprivatedns"
	"github.com/google/go-cmp/cmp"
)

const zoneName = "cluster.internal"

// zone makes a private DNS zone.
func (w *world) zone(t *testing.T, name string) armprivatedns.PrivateZone {
	t.Helper()
	poller, err := w.zones.BeginCreateOrUpdate(t.Context(), "g", name, armprivatedns.PrivateZone{Location: to.Ptr("Global")}, nil)
	made, err := done(t, poller, err)
	if err != nil {
		t.Fatal(err)
	}
	return made.PrivateZone
}

// link links a network to a private DNS zone.
func (w *world) link(t *testing.T, zone, name, network string) (armprivatedns.VirtualNetworkLink, error) {
	t.Helper()
	poller, err := w.links.BeginCreateOrUpdate(t.Context(), "g", zone, name, armprivatedns.VirtualNetworkLink{
		Location: to.Ptr("global"), Properties: &armprivatedns.VirtualNetworkLinkProperties{
			RegistrationEnabled: to.Ptr(false), VirtualNetwork: &armprivatedns.SubResource{ID: to.Ptr(inG + "virtualNetworks/" + network)},
		}}, nil)
	made, err := done(t, poller, err)
	return made.VirtualNetworkLink, err
}

// record gives a name in a zone addresses.
func (w *world) record(t *testing.T, zone, name string, options *armprivatedns.RecordSetsClientCreateOrUpdateOptions, addrs ...string) (armprivatedns.RecordSet, error) {
	t.Helper()
	records := []*armprivatedns.ARecord{}
	for _, addr := range addrs {
		records = append(records, &armprivatedns.ARecord{IPv4Address: &addr})
	}
	made, err := w.records.CreateOrUpdate(t.Context(), "g", zone, armprivatedns.RecordTypeA, name, armprivatedns.RecordSet{
		Properties: &armprivatedns.RecordSetProperties{TTL: to.Ptr(int64(30)), ARecords: records}}, options)
	return made.RecordSet, err
}

func TestLifeOfAPrivateDNSZone(t *testing.T) {
	w := start(t)
	w.network(t, inG+"virtualNetworks/net", "10.0.0.0/16", "10.0.1.0/24")
	made := w.zone(t, "Cluster.Internal")
	id := inG + "privateDnsZones/" + zoneName
	want := armprivatedns.PrivateZone{
		ID: to.Ptr(id), Name: to.Ptr(zoneName), Type: to.Ptr("Microsoft.Network/privateDnsZones"), Location: to.Ptr("global"), Etag: made.Etag,
		Properties: &armprivatedns.PrivateZoneProperties{
			ProvisioningState: to.Ptr(armprivatedns.ProvisioningStateSucceeded), MaxNumberOfRecordSets: to.Ptr(int64(25000)),
			MaxNumberOfVirtualNetworkLinks: to.Ptr(int64(1000)), MaxNumberOfVirtualNetworkLinksWithRegistration: to.Ptr(int64(100)),
			NumberOfRecordSets: to.Ptr(int64(0)), NumberOfVirtualNetworkLinks: to.Ptr(int64(0)), NumberOfVirtualNetworkLinksWithRegistration: to.Ptr(int64(0)),
		},
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
	link, err := w.link(t, zoneName, "Link", "net")
	if err != nil {
		t.Fatal(err)
	}
	wantLink := armprivatedns.VirtualNetworkLink{
		ID: to.Ptr(id + "/virtualNetworkLinks/Link"), Name: to.Ptr("Link"), Type: to.Ptr("Microsoft.Network/privateDnsZones/virtualNetworkLinks"),
		Location: to.Ptr("global"), Etag: link.Etag,
		Properties: &armprivatedns.VirtualNetworkLinkProperties{
			ProvisioningState: to.Ptr(armprivatedns.ProvisioningStateSucceeded), RegistrationEnabled: to.Ptr(false),
			VirtualNetwork:          &armprivatedns.SubResource{ID: to.Ptr(inG + "virtualNetworks/net")},
			VirtualNetworkLinkState: to.Ptr(armprivatedns.VirtualNetworkLinkStateCompleted),
		},
	}
	if diff := cmp.Diff(wantLink, link); diff != "" {
		t.Error(diff)
	}
	links, err := w.links.NewListPager("g", zoneName, nil).NextPage(t.Context())
	if err != nil || len(links.Value) != 1 {
		t.Errorf("links: %+v, %v", links.Value, err)
	}
	if _, err := w.link(t, zoneName, "link", "net"); err != nil {
		t.Errorf("the same link again: %v", err)
	}
	remove := func() error {
		poller, err := w.zones.BeginDelete(t.Context(), "g", zoneName, nil)
		_, err = done(t, poller, err)
		return err
	}
	if err := remove(); code(err) != "CannotDeleteResource" || !strings.Contains(err.Error(), "409") {
		t.Errorf("deletion of a zone that is linked: %v", err)
	}
	for range 2 {
		poller, err := w.links.BeginDelete(t.Context(), "g", zoneName, "LINK", nil)
		if _, err := done(t, poller, err); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := remove(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.zones.Get(t.Context(), "g", zoneName, nil); code(err) != "ResourceNotFound" {
		t.Errorf("after its deletion: %v", err)
	}
}

func TestLifeOfARecordSet(t *testing.T) {
	w := start(t)
	w.zone(t, zoneName)
	made, err := w.record(t, zoneName, "ETCD", nil, "10.0.0.4", "10.0.0.5")
	if err != nil {
		t.Fatal(err)
	}
	want := armprivatedns.RecordSet{
		ID: to.Ptr(inG + "privateDnsZones/" + zoneName + "/A/etcd"), Name: to.Ptr("etcd"), Type: to.Ptr("Microsoft.Network/privateDnsZones/A"), Etag: made.Etag,
		Properties: &armprivatedns.RecordSetProperties{
			TTL: to.Ptr(int64(30)), Fqdn: to.Ptr("etcd." + zoneName + "."), IsAutoRegistered: to.Ptr(false),
			ARecords: []*armprivatedns.ARecord{{IPv4Address: to.Ptr("10.0.0.4")}, {IPv4Address: to.Ptr("10.0.0.5")}},
		},
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
	if at, err := w.record(t, zoneName, "@", nil, "10.0.0.9"); err != nil || *at.Properties.Fqdn != zoneName+"." {
		t.Errorf("the apex: %+v, %v", at, err)
	}
	if none, err := w.record(t, zoneName, "a.b", nil); err != nil || len(none.Properties.ARecords) != 0 {
		t.Errorf("a set without records: %+v, %v", none, err)
	}

	onlyNew := &armprivatedns.RecordSetsClientCreateOrUpdateOptions{IfNoneMatch: to.Ptr("*")}
	if _, err := w.record(t, zoneName, "etcd", onlyNew, "10.0.0.6"); code(err) != "PreconditionFailed" {
		t.Errorf("only if it is not there: %v", err)
	}
	unchanged := &armprivatedns.RecordSetsClientCreateOrUpdateOptions{IfMatch: made.Etag}
	if _, err := w.record(t, zoneName, "etcd", unchanged, "10.0.0.6"); err != nil {
		t.Errorf("only if it has not changed: %v", err)
	}
	if _, err := w.record(t, zoneName, "etcd", unchanged, "10.0.0.7"); code(err) != "PreconditionFailed" {
		t.Errorf("only if it has not changed, and it has: %v", err)
	}
	if _, err := w.record(t, zoneName, "none", unchanged, "10.0.0.7"); code(err) != "PreconditionFailed" {
		t.Errorf("only if it has not changed, and it is not there: %v", err)
	}
	patched, err := w.records.Update(t.Context(), "g", zoneName, armprivatedns.RecordTypeA, "etcd",
		armprivatedns.RecordSet{Properties: &armprivatedns.RecordSetProperties{TTL: to.Ptr(int64(60))}}, nil)
	if err != nil || *patched.Properties.TTL != 60 || *patched.Properties.ARecords[0].IPv4Address != "10.0.0.6" {
		t.Errorf("patched %+v, %v", patched.Properties, err)
	}

	zone, err := w.zones.Get(t.Context(), "g", zoneName, nil)
	if err != nil || *zone.Properties.NumberOfRecordSets != 3 {
		t.Errorf("the zone: %+v, %v", zone.Properties, err)
	}
	all, err := w.records.NewListPager("g", zoneName, nil).NextPage(t.Context())
	if err != nil || len(all.Value) != 3 {
		t.Errorf("all: %+v, %v", all.Value, err)
	}
	some, err := w.records.NewListByTypePager("g", zoneName, armprivatedns.RecordTypeA,
		&armprivatedns.RecordSetsClientListByTypeOptions{Recordsetnamesuffix: to.Ptr("b")}).NextPage(t.Context())
	if err != nil || len(some.Value) != 1 || *some.Value[0].Name != "a.b" {
		t.Errorf("those below b: %+v, %v", some.Value, err)
	}
	for range 2 {
		if _, err := w.records.Delete(t.Context(), "g", zoneName, armprivatedns.RecordTypeA, "etcd", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.records.Get(t.Context(), "g", zoneName, armprivatedns.RecordTypeA, "etcd", nil); code(err) != "ResourceNotFound" {
		t.Errorf("after its deletion: %v", err)
	}
}

func TestAListOfManyRecordSetsHasPages(t *testing.T) {
	w := start(t)
	w.zone(t, zoneName)
	const count = 101
	for i := range count {
		w.put(t, fmt.Sprintf("%sprivateDnsZones/%s/A/n%d", inG, zoneName, i), `{"properties":{"ttl":10}}`)
	}
	total, pages := 0, 0
	for pager := w.records.NewListPager("g", zoneName, nil); pager.More(); pages++ {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		total += len(page.Value)
	}
	if total != count || pages != 2 {
		t.Errorf("%d in %d pages", total, pages)
	}
}

func TestResolving(t *testing.T) {
	w := start(t)
	for _, network := range []string{"one", "two", "three"} {
		w.network(t, inG+"virtualNetworks/"+network, "10.0.0.0/16", "10.0.1.0/24")
	}
	for _, name := range []string{"internal.example", "deep.internal.example", "unlinked.example"} {
		w.zone(t, name)
	}
	for _, link := range [][2]string{{"internal.example", "one"}, {"deep.internal.example", "one"}, {"internal.example", "two"}} {
		if _, err := w.link(t, link[0], link[1], link[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, record := range [][3]string{
		{"internal.example", "@", "10.0.0.1"}, {"internal.example", "a", "10.0.0.2"}, {"internal.example", "x.deep", "10.0.0.3"},
		{"internal.example", "*.wild", "10.0.0.4"}, {"internal.example", "there.wild", "10.0.0.5"}, {"internal.example", "below.between.wild", "10.0.0.6"},
		{"deep.internal.example", "a", "10.0.1.1"}, {"unlinked.example", "a", "10.0.2.1"},
	} {
		if _, err := w.record(t, record[0], record[1], nil, record[2]); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ network, name, want string }{
		{"one", "internal.example", "10.0.0.1"},
		{"one", "A.Internal.Example.", "10.0.0.2"},
		{"one", "b.internal.example", "none"},
		{"one", "a.a.internal.example", "none"},
		{"one", "x.deep.internal.example", "none"}, // the longer zone hides it
		{"one", "a.deep.internal.example", "10.0.1.1"},
		{"two", "x.deep.internal.example", "10.0.0.3"},
		{"two", "deep.internal.example", "none"},
		{"two", "any.wild.internal.example", "10.0.0.4"},
		{"two", "a.b.wild.internal.example", "10.0.0.4"},
		{"two", "there.wild.internal.example", "10.0.0.5"},
		{"two", "a.there.wild.internal.example", "none"},
		{"two", "between.wild.internal.example", "none"},
		{"two", "a.between.wild.internal.example", "none"},
		{"two", "wild.internal.example", "none"},
		{"two", "a.unlinked.example", "not ours"},
		{"two", "example", "not ours"},
		{"two", "notinternal.example", "not ours"},
		{"two", "", "not ours"},
		{"three", "a.internal.example", "not ours"},
	} {
		t.Run(test.network+" "+test.name, func(t *testing.T) {
			addrs, ttl, authoritative := w.service.Resolve(strings.ToLower(inG+"virtualNetworks/"+test.network), test.name)
			got := "not ours"
			switch {
			case len(addrs) == 1 && authoritative && ttl == 30:
				got = addrs[0].String()
			case len(addrs) == 0 && authoritative:
				got = "none"
			}
			if got != test.want {
				t.Errorf("got %v, %d, %v", addrs, ttl, authoritative)
			}
		})
	}
	if a := w.Do(t, w.token, http.MethodDelete, inG+"virtualNetworks/two"+version, ""); a.Status != http.StatusOK {
		t.Fatal(a.Body)
	}
	if _, _, authoritative := w.service.Resolve(strings.ToLower(inG+"virtualNetworks/two"), "a.internal.example"); authoritative {
		t.Error("a network that is gone is still linked")
	}
	if addrs, _, _ := w.service.Resolve(strings.ToLower(inG+"virtualNetworks/one"), "a.internal.example"); len(addrs) != 1 {
		t.Errorf("the other network: %v", addrs)
	}
}
