package cloud

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

// Networks are spoken to through the SDK's client for resources of any type:
// its typed clients for them are larger than all the others together.
const (
	networkVersion     = "2023-09-01"
	privateZoneVersion = "2020-06-01"

	publicAddressType = "Microsoft.Network/publicIPAddresses"
	natGatewayType    = "Microsoft.Network/natGateways"
	networkType       = "Microsoft.Network/virtualNetworks"
	privateZoneType   = "Microsoft.Network/privateDnsZones"

	// groupsService is what a subnet is delegated to for groups to be in it.
	groupsService = "Microsoft.ContainerInstance/containerGroups"
	// recordTTL is how long, in seconds, a group's address may be remembered:
	// a group that starts again may have another.
	recordTTL = 10
)

// NetworkContributor is the built-in role that may do everything with networks.
const NetworkContributor = "4d97b98b-1d4f-4787-a291-c67834d212e7"

// Network is a virtual network of container groups: one subnet, delegated to
// them, and a private DNS zone for their names.
type Network struct {
	ResourceGroup, Name, Location string
	// Range are its addresses; the subnet has all of them.
	Range netip.Prefix
	// Zone is the domain of its names.
	Zone string
	Tags map[string]string
}

// subnetName is the only subnet's.
const subnetName = "groups"

func (c *Connection) resourceID(resourceGroup, kind, name string) string {
	return "/subscriptions/" + c.SubscriptionID + "/resourceGroups/" + resourceGroup + "/providers/" + kind + "/" + name
}

// SubnetID returns the ARM id of a network's subnet.
func (c *Connection) SubnetID(n Network) string {
	return c.resourceID(n.ResourceGroup, networkType, n.Name) + "/subnets/" + subnetName
}

// PutNetwork makes a network, or completes one that is there. Its groups reach
// the world: without a NAT gateway they would not.
func (c *Connection) PutNetwork(ctx context.Context, n Network) error {
	gateway, err := c.putGateway(ctx, n)
	if err != nil {
		return err
	}
	if err := c.putNetwork(ctx, n, map[string]any{"id": gateway}); err != nil {
		return err
	}
	return c.putZone(ctx, n)
}

// putGateway makes the NAT gateway and returns its id.
func (c *Connection) putGateway(ctx context.Context, n Network) (string, error) {
	sku := &armresources.SKU{Name: to.Ptr("Standard")}
	address := c.resourceID(n.ResourceGroup, publicAddressType, n.Name)
	err := c.put(ctx, address, networkVersion, armresources.GenericResource{Location: &n.Location, Tags: pointers(n.Tags), SKU: sku,
		Properties: map[string]any{"publicIPAllocationMethod": "Static", "publicIPAddressVersion": "IPv4"}})
	if err != nil {
		return "", err
	}
	gateway := c.resourceID(n.ResourceGroup, natGatewayType, n.Name)
	return gateway, c.put(ctx, gateway, networkVersion, armresources.GenericResource{Location: &n.Location, Tags: pointers(n.Tags), SKU: sku,
		Properties: map[string]any{"publicIpAddresses": []any{map[string]any{"id": address}}}})
}

// putNetwork makes the network itself; gateway is its way out, or nil.
func (c *Connection) putNetwork(ctx context.Context, n Network, gateway any) error {
	subnet := map[string]any{
		"addressPrefix": n.Range.String(),
		"delegations":   []any{map[string]any{"name": "groups", "properties": map[string]any{"serviceName": groupsService}}},
	}
	if gateway != nil {
		subnet["natGateway"] = gateway
	}
	return c.put(ctx, c.resourceID(n.ResourceGroup, networkType, n.Name), networkVersion, armresources.GenericResource{
		Location: &n.Location, Tags: pointers(n.Tags),
		Properties: map[string]any{
			"addressSpace": map[string]any{"addressPrefixes": []string{n.Range.String()}},
			"subnets":      []any{map[string]any{"name": subnetName, "properties": subnet}},
		}})
}

// putZone makes the DNS zone, and has the network ask it.
func (c *Connection) putZone(ctx context.Context, n Network) error {
	zone := c.resourceID(n.ResourceGroup, privateZoneType, n.Zone)
	if err := c.put(ctx, zone, privateZoneVersion, armresources.GenericResource{Location: to.Ptr("global"), Tags: pointers(n.Tags)}); err != nil {
		return err
	}
	return c.put(ctx, zone+"/virtualNetworkLinks/"+n.Name, privateZoneVersion, armresources.GenericResource{
		Location: to.Ptr("global"),
		Properties: map[string]any{"registrationEnabled": false,
			"virtualNetwork": map[string]any{"id": c.resourceID(n.ResourceGroup, networkType, n.Name)}},
	})
}

// CloseNetwork takes away what of a network costs money while nothing runs in
// it: its way out to the world. PutNetwork makes it again.
func (c *Connection) CloseNetwork(ctx context.Context, n Network) error {
	exists, err := c.exists(ctx, c.resourceID(n.ResourceGroup, networkType, n.Name), networkVersion)
	if err != nil {
		return err
	}
	if exists {
		if err := c.putNetwork(ctx, n, nil); err != nil {
			return err
		}
	}
	if err := c.remove(ctx, c.resourceID(n.ResourceGroup, natGatewayType, n.Name), networkVersion); err != nil {
		return err
	}
	return c.remove(ctx, c.resourceID(n.ResourceGroup, publicAddressType, n.Name), networkVersion)
}

// PutAddress gives a name in a network's zone its address.
func (c *Connection) PutAddress(ctx context.Context, n Network, name string, address netip.Addr) error {
	return c.put(ctx, c.addressID(n, name), privateZoneVersion, armresources.GenericResource{
		Properties: map[string]any{"ttl": recordTTL, "aRecords": []any{map[string]any{"ipv4Address": address.String()}}}})
}

// RemoveAddress takes a name out of a network's zone.
func (c *Connection) RemoveAddress(ctx context.Context, n Network, name string) error {
	return c.remove(ctx, c.addressID(n, name), privateZoneVersion)
}

func (c *Connection) addressID(n Network, name string) string {
	return c.resourceID(n.ResourceGroup, privateZoneType, n.Zone) + "/A/" + name
}

// ListRanges returns the addresses of all virtual networks that the credential
// may see.
func (c *Connection) ListRanges(ctx context.Context) ([]netip.Prefix, error) {
	var all []netip.Prefix
	pager := c.Resources.NewListPager(&armresources.ClientListOptions{Filter: to.Ptr("resourceType eq '" + networkType + "'")})
	for pager.More() {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list virtual networks: %w", explain(err))
		}
		for _, r := range page.Value {
			got, err := c.Resources.GetByID(ctx, *r.ID, networkVersion, nil)
			if IsNotFound(err) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("get virtual network %s: %w", *r.ID, explain(err))
			}
			all = append(all, ranges(got.Properties)...)
		}
	}
	return all, nil
}

// ranges reads a virtual network's addresses out of its properties.
func ranges(properties any) []netip.Prefix {
	p, _ := properties.(map[string]any)
	space, _ := p["addressSpace"].(map[string]any)
	list, _ := space["addressPrefixes"].([]any)
	var all []netip.Prefix
	for _, word := range list {
		text, _ := word.(string)
		if prefix, err := netip.ParsePrefix(text); err == nil {
			all = append(all, prefix)
		}
	}
	return all
}

// put makes or replaces a resource and waits until that is done.
func (c *Connection) put(ctx context.Context, id, version string, r armresources.GenericResource) error {
	poller, err := c.Resources.BeginCreateOrUpdateByID(ctx, id, version, r, nil)
	if err == nil && !poller.Done() {
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: pollFrequency})
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", short(id), explain(err))
	}
	return nil
}

// remove deletes a resource and waits until it is gone. One that does not
// exist is no error.
func (c *Connection) remove(ctx context.Context, id, version string) error {
	poller, err := c.Resources.BeginDeleteByID(ctx, id, version, nil)
	if err == nil && !poller.Done() {
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: pollFrequency})
	}
	if err != nil && !IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", short(id), explain(err))
	}
	return nil
}

func (c *Connection) exists(ctx context.Context, id, version string) (bool, error) {
	_, err := c.Resources.GetByID(ctx, id, version, nil)
	if IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("get %s: %w", short(id), explain(err))
	}
	return true, nil
}

// short is the part of an ARM id that people want to read: resource group,
// type and name.
func short(id string) string {
	_, rest, _ := strings.Cut(id, "/resourceGroups/")
	group, what, _ := strings.Cut(rest, "/providers/")
	return what + " in resource group " + group
}
