package resources_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

// networkTemplate makes what groups in a virtual network need.
const networkTemplate = `{
  "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
  "contentVersion": "1.0.0.0",
  "variables": {"net": "[resourceId('Microsoft.Network/virtualNetworks', 'net')]"},
  "resources": [
    {"type": "Microsoft.Network/publicIPAddresses", "apiVersion": "2023-09-01", "name": "ip", "location": "[resourceGroup().location]",
      "sku": {"name": "Standard"}, "properties": {"publicIPAllocationMethod": "Static"}},
    {"type": "Microsoft.Network/natGateways", "apiVersion": "2023-09-01", "name": "nat", "location": "[resourceGroup().location]",
      "sku": {"name": "Standard"}, "dependsOn": ["[resourceId('Microsoft.Network/publicIPAddresses', 'ip')]"],
      "properties": {"publicIpAddresses": [{"id": "[resourceId('Microsoft.Network/publicIPAddresses', 'ip')]"}]}},
    {"type": "Microsoft.Network/virtualNetworks", "apiVersion": "2023-09-01", "name": "net", "location": "[resourceGroup().location]",
      "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}}},
    {"type": "Microsoft.Network/virtualNetworks/subnets", "apiVersion": "2023-09-01", "name": "net/groups",
      "dependsOn": ["[variables('net')]", "[resourceId('Microsoft.Network/natGateways', 'nat')]"],
      "properties": {"addressPrefix": "10.0.1.0/24", "natGateway": {"id": "[resourceId('Microsoft.Network/natGateways', 'nat')]"},
        "delegations": [{"name": "aci", "properties": {"serviceName": "Microsoft.ContainerInstance/containerGroups"}}]}},
    {"type": "Microsoft.Network/privateDnsZones", "apiVersion": "2020-06-01", "name": "cluster.internal", "location": "global"},
    {"type": "Microsoft.Network/privateDnsZones/virtualNetworkLinks", "apiVersion": "2020-06-01", "name": "cluster.internal/net", "location": "global",
      "dependsOn": ["[variables('net')]", "[resourceId('Microsoft.Network/privateDnsZones', 'cluster.internal')]"],
      "properties": {"registrationEnabled": false, "virtualNetwork": {"id": "[variables('net')]"}}},
    {"type": "Microsoft.Network/privateDnsZones/A", "apiVersion": "2020-06-01", "name": "cluster.internal/etcd",
      "dependsOn": ["[resourceId('Microsoft.Network/privateDnsZones', 'cluster.internal')]"],
      "properties": {"ttl": 10, "aRecords": [{"ipv4Address": "10.0.1.4"}]}}
  ]
}`

// TestATemplateMakesANetwork deploys a template twice: again, it changes nothing.
func TestATemplateMakesANetwork(t *testing.T) {
	w := start(t)
	client, err := armresources.NewDeploymentsClient(subscription[len("/subscriptions/"):], w.token, w.Options())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		poller, err := client.BeginCreateOrUpdate(t.Context(), "g", "network", armresources.Deployment{Properties: &armresources.DeploymentProperties{
			Mode: to.Ptr(armresources.DeploymentModeIncremental), Template: json.RawMessage(networkTemplate)}}, nil)
		made, err := done(t, poller, err)
		if err != nil {
			t.Fatal(err)
		}
		if len(made.Properties.OutputResources) != 7 {
			t.Errorf("made %d resources, want 7", len(made.Properties.OutputResources))
		}
	}
	if sub, err := w.service.Subnet(inG + "virtualNetworks/net/subnets/groups"); err != nil || !sub.Outbound || !sub.Delegated {
		t.Errorf("the subnet: %+v, %v", sub, err)
	}
	if addrs, _, _ := w.service.Resolve(strings.ToLower(inG+"virtualNetworks/net"), "etcd.cluster.internal"); len(addrs) != 1 {
		t.Errorf("the name is at %v", addrs)
	}
}
