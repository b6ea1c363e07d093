package groups

import (
	"slices"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/google/uuid"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/embedded/identity"
	"frankenetes.dev/embedded/network"
)

// inSubnet puts a group into a subnet.
func inSubnet(g aci.ContainerGroup, id string) aci.ContainerGroup {
	g.Properties.SubnetIDs = []*aci.ContainerGroupSubnetID{{ID: &id}}
	return g
}

func TestGroupInASubnet(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	g := inSubnet(sdkGroup(sdkContainer("web")), strings.ToUpper(knownSubnet))
	g.Properties.DNSConfig = &aci.DNSConfiguration{NameServers: to.SliceOfPtrs("10.1.0.9", "10.1.0.10"),
		SearchDomains: to.Ptr("a.example b.example"), Options: to.Ptr("ndots:2")}
	got := c.create(t, "web", g)
	address := got.Properties.IPAddress
	if address == nil || *address.Type != aci.ContainerGroupIPAddressTypePrivate || *address.IP != "10.1.0.1" || address.Ports == nil {
		t.Errorf("its address: %+v", address)
	}
	if id := *got.Properties.SubnetIDs[0].ID; id != knownSubnet {
		t.Errorf("its subnet: %s", id)
	}
	if ids := c.service.InSubnet(knownSubnet); !slices.Equal(ids, []string{groupID(testSub, "rg", "web")}) {
		t.Errorf("in the subnet: %v", ids)
	}
	resolv := w.runtime.resolverOf("web")
	if want := (&runtimeapi.DNSConfig{Servers: []string{"10.1.0.9", "10.1.0.10"}, Searches: []string{"a.example", "b.example"}, Options: []string{"ndots:2"}}); resolv.String() != want.String() {
		t.Errorf("its names: %s", resolv)
	}

	// What is read can be sent again, and means no change.
	before := w.runtime.latest("web").status.Id
	got.Properties.ProvisioningState, got.Properties.InstanceView = nil, nil
	c.create(t, "web", *got)
	if after := w.runtime.latest("web").status.Id; after != before {
		t.Error("the same group was deployed again")
	}
	// Its subnet cannot change while it runs.
	if err := c.put(t, "web", sdkGroup(sdkContainer("web"))); refused(t, err) != "InvalidContainerGroupUpdate" {
		t.Errorf("out of its subnet: %v", err)
	}
	// A stopped group is still one of the subnet's; a deleted one is not.
	if _, err := c.groups.Stop(t.Context(), "rg", "web", nil); err != nil {
		t.Fatal(err)
	}
	if ids := c.service.InSubnet(knownSubnet); len(ids) != 1 {
		t.Errorf("in the subnet after a stop: %v", ids)
	}
	c.delete(t, "web")
	if ids := c.service.InSubnet(knownSubnet); len(ids) != 0 || w.network.count() != 0 {
		t.Errorf("in the subnet after the deletion: %v", ids)
	}
}

func TestSubnetsThatGroupsCannotBeIn(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	if err := c.put(t, "web", inSubnet(sdkGroup(sdkContainer("web")), knownSubnet+"2")); refused(t, err) != "ResourceNotFound" {
		t.Errorf("no such subnet: %v", err)
	}
	// One who may make groups, but not use that subnet.
	maker, secret, err := c.authority.Register("maker")
	if err == nil {
		_, err = c.authority.Assign(identity.RoleAssignment{Scope: "/subscriptions/" + testSub + "/resourceGroups/rg", Name: uuid.NewString(),
			Role: identity.Contributor, PrincipalID: maker.ObjectID})
	}
	if err != nil {
		t.Fatal(err)
	}
	other := *c
	other.token = c.credential(t, identity.Credential{ClientID: maker.ClientID, Secret: secret})
	at := c.url + groupID(testSub, "rg", "web") + "?api-version=2023-05-01"
	in := `,"subnetIds":[{"id":"` + knownSubnet + `"}]`
	if status, answer := other.send(t, "PUT", at, body("", in)); status != 403 || !strings.Contains(answer, "LinkedAuthorizationFailed") {
		t.Errorf("in a subnet of others: %d %s", status, answer)
	}
	if status, answer := other.send(t, "PUT", at, body("", "")); status != 201 {
		t.Errorf("in no subnet: %d %s", status, answer)
	}
}

func TestReadinessInASubnetClosesPorts(t *testing.T) {
	ready := map[string]bool{"slow": false, "quick": true}
	g := &Group{Properties: Properties{IPAddress: &IPAddress{Type: private},
		Containers: []Container{
			{Name: "slow", Properties: ContainerProperties{Ports: []Port{{Port: 80, Protocol: "TCP"}, {Port: 53, Protocol: "UDP"}}}},
			{Name: "quick", Properties: ContainerProperties{Ports: []Port{{Port: 81, Protocol: "TCP"}}}},
			{Name: "unasked", Properties: ContainerProperties{Ports: []Port{{Port: 82, Protocol: "TCP"}}}},
		}}}
	if got := closings(g, ready); !slices.Equal(got, []network.Opening{{Port: 80}, {UDP: true, Port: 53}}) {
		t.Errorf("closed: %v", got)
	}
	if got := openings(g, ready); len(got) != 0 {
		t.Errorf("open to the public: %v", got)
	}
}
