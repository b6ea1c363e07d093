package cloud

import (
	"context"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"
	"github.com/google/uuid"
)

// pollFrequency is used for operations whose answers carry no Retry-After; the
// SDK takes no less.
const pollFrequency = time.Second

// contributor is the built-in role that may do everything but grant rights.
const contributor = "b24988ac-6180-42a0-ab88-20f7382dd24c"

// ResourceGroup is a resource group as the SDK has it.
type ResourceGroup = armresources.ResourceGroup

// PutResourceGroup makes a resource group, or replaces its tags.
func (c *Connection) PutResourceGroup(ctx context.Context, name, location string, tags map[string]string) error {
	_, err := c.ResourceGroups.CreateOrUpdate(ctx, name, armresources.ResourceGroup{
		Location: &location, Tags: pointers(tags)}, nil)
	if err != nil {
		return fmt.Errorf("create resource group %s: %w", name, explain(err))
	}
	return nil
}

// GetResourceGroup returns a resource group, nil when there is none.
func (c *Connection) GetResourceGroup(ctx context.Context, name string) (*ResourceGroup, error) {
	got, err := c.ResourceGroups.Get(ctx, name, nil)
	if IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get resource group %s: %w", name, explain(err))
	}
	return &got.ResourceGroup, nil
}

// ListResourceGroups returns every resource group that the credential may see.
func (c *Connection) ListResourceGroups(ctx context.Context) ([]*ResourceGroup, error) {
	var all []*ResourceGroup
	for pager := c.ResourceGroups.NewListPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list resource groups: %w", explain(err))
		}
		all = append(all, page.Value...)
	}
	return all, nil
}

// DeleteResourceGroup deletes a resource group with all that is in it, and
// waits until it is gone. One that does not exist is no error.
func (c *Connection) DeleteResourceGroup(ctx context.Context, name string) error {
	poller, err := c.ResourceGroups.BeginDelete(ctx, name, nil)
	if err == nil {
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: pollFrequency})
	}
	if err != nil && !IsNotFound(err) {
		return fmt.Errorf("delete resource group %s: %w", name, explain(err))
	}
	return nil
}

// PutAccount makes a storage account and waits until it is there.
func (c *Connection) PutAccount(ctx context.Context, resourceGroup, name, location string) error {
	poller, err := c.Accounts.BeginCreate(ctx, resourceGroup, name, armstorage.AccountCreateParameters{
		SKU:      &armstorage.SKU{Name: to.Ptr(armstorage.SKUNameStandardLRS)},
		Kind:     to.Ptr(armstorage.KindStorageV2),
		Location: &location,
		Properties: &armstorage.AccountPropertiesCreateParameters{
			AllowBlobPublicAccess:  to.Ptr(false),
			EnableHTTPSTrafficOnly: to.Ptr(true),
			MinimumTLSVersion:      to.Ptr(armstorage.MinimumTLSVersionTLS12),
		},
	}, nil)
	if err == nil {
		_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: pollFrequency})
	}
	if err != nil {
		return fmt.Errorf("create storage account %s: %w", name, explain(err))
	}
	return nil
}

// ListAccounts returns the names of a resource group's storage accounts; none
// when the resource group does not exist.
func (c *Connection) ListAccounts(ctx context.Context, resourceGroup string) ([]string, error) {
	var names []string
	for pager := c.Accounts.NewListByResourceGroupPager(resourceGroup, nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("list storage accounts of %s: %w", resourceGroup, explain(err))
		}
		for _, account := range page.Value {
			names = append(names, *account.Name)
		}
	}
	return names, nil
}

// PutShare makes a file share with the given quota in GiB.
func (c *Connection) PutShare(ctx context.Context, resourceGroup, account, name string, quota int32) error {
	_, err := c.FileShares.Create(ctx, resourceGroup, account, name, armstorage.FileShare{
		FileShareProperties: &armstorage.FileShareProperties{ShareQuota: &quota}}, nil)
	if err != nil {
		return fmt.Errorf("create file share %s/%s: %w", account, name, explain(err))
	}
	return nil
}

// Identity is a user-assigned identity: who a container group is.
type Identity struct {
	// ID is its ARM id, ClientID what the metadata endpoint selects it by.
	ID, ClientID, principalID string
}

// PutIdentity makes a user-assigned identity.
func (c *Connection) PutIdentity(ctx context.Context, resourceGroup, name, location string) (Identity, error) {
	got, err := c.Identities.CreateOrUpdate(ctx, resourceGroup, name, armmsi.Identity{Location: &location}, nil)
	if err != nil {
		return Identity{}, fmt.Errorf("create identity %s: %w", name, explain(err))
	}
	return Identity{ID: *got.ID, ClientID: *got.Properties.ClientID, principalID: *got.Properties.PrincipalID}, nil
}

// AllowContributor lets an identity do everything inside one resource group,
// but for granting rights. Asking again is no error.
func (c *Connection) AllowContributor(ctx context.Context, id Identity, resourceGroup string) error {
	return c.Allow(ctx, id, contributor, "/subscriptions/"+c.SubscriptionID+"/resourceGroups/"+resourceGroup)
}

// Allow gives an identity a built-in role at a scope, an ARM id, and below it.
// Asking again is no error.
func (c *Connection) Allow(ctx context.Context, id Identity, role, scope string) error {
	definition := "/subscriptions/" + c.SubscriptionID + "/providers/Microsoft.Authorization/roleDefinitions/" + role
	name := uuid.NewSHA1(uuid.NameSpaceURL, []byte(scope+id.principalID)).String()
	_, err := c.RoleAssignments.Create(ctx, scope, name, armauthorization.RoleAssignmentCreateParameters{
		Properties: &armauthorization.RoleAssignmentProperties{
			PrincipalID:      &id.principalID,
			PrincipalType:    to.Ptr(armauthorization.PrincipalTypeServicePrincipal),
			RoleDefinitionID: &definition,
		}}, nil)
	if err != nil && Code(err) != "RoleAssignmentExists" {
		return fmt.Errorf("give identity its role at %s: %w", scope, explain(err))
	}
	return nil
}

func pointers(tags map[string]string) map[string]*string {
	out := make(map[string]*string, len(tags))
	for k, v := range tags {
		out[k] = &v
	}
	return out
}
