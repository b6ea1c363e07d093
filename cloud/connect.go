package cloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"
)

// Connection is a cloud as the layers above use it: the SDK's clients, made
// with one set of endpoints and one credential. It is safe for concurrent use.
type Connection struct {
	Config

	ResourceGroups  *armresources.ResourceGroupsClient
	Resources       *armresources.Client
	Groups          *armcontainerinstance.ContainerGroupsClient
	Containers      *armcontainerinstance.ContainersClient
	Accounts        *armstorage.AccountsClient
	FileShares      *armstorage.FileSharesClient
	Identities      *armmsi.UserAssignedIdentitiesClient
	RoleAssignments *armauthorization.RoleAssignmentsClient

	credential azcore.TokenCredential
	options    *arm.ClientOptions
	http       *http.Client
}

// Connect makes the clients of a cloud. It sends nothing yet: a wrong endpoint
// or credential shows with the first request.
func Connect(c Config) (*Connection, error) {
	client, err := httpClient(c.CA)
	if err != nil {
		return nil, fmt.Errorf("connect to cloud %s: %w", c.Name, err)
	}
	conn := &Connection{Config: c, http: client, options: c.clientOptions(client)}
	if conn.credential, err = c.tokenCredential(conn.options.ClientOptions); err != nil {
		return nil, fmt.Errorf("make credential for cloud %s: %w", c.Name, err)
	}
	if err := conn.makeClients(); err != nil {
		return nil, fmt.Errorf("connect to cloud %s: %w", c.Name, err)
	}
	return conn, nil
}

func (c *Connection) makeClients() error {
	sub, cred, opts := c.SubscriptionID, c.credential, c.options
	var errs [7]error
	c.ResourceGroups, errs[0] = armresources.NewResourceGroupsClient(sub, cred, opts)
	aci, err := armcontainerinstance.NewClientFactory(sub, cred, opts)
	if errs[1] = err; err == nil {
		c.Groups, c.Containers = aci.NewContainerGroupsClient(), aci.NewContainersClient()
	}
	c.Accounts, errs[2] = armstorage.NewAccountsClient(sub, cred, opts)
	c.FileShares, errs[3] = armstorage.NewFileSharesClient(sub, cred, opts)
	c.Identities, errs[4] = armmsi.NewUserAssignedIdentitiesClient(sub, cred, opts)
	c.RoleAssignments, errs[5] = armauthorization.NewRoleAssignmentsClient(sub, cred, opts)
	c.Resources, errs[6] = armresources.NewClient(sub, cred, opts)
	return errors.Join(errs[:]...)
}

// HTTPClient returns a client that trusts the cloud's authority besides the
// system's.
func (c *Connection) HTTPClient() *http.Client { return c.http }

// Credentials returns whom the clients are.
func (c *Connection) Credentials() azcore.TokenCredential { return c.credential }

// ClientOptions returns what the clients were made with, for clients of the
// SDK that a Connection has not.
func (c *Connection) ClientOptions() *arm.ClientOptions { return c.options }

// Token returns a bearer token for the cloud's resource manager.
func (c *Connection) Token(ctx context.Context) (string, error) {
	scope := strings.TrimSuffix(c.options.Cloud.Services[azcloud.ResourceManager].Audience, "/") + "/.default"
	t, err := c.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		return "", fmt.Errorf("get token of cloud %s: %w", c.Name, explain(err))
	}
	return t.Token, nil
}

// httpClient trusts a PEM bundle besides the system's roots. Only the time to connect
// and to answer is bounded, not a whole transfer.
func httpClient(ca string) (*http.Client, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if ca != "" && !roots.AppendCertsFromPEM([]byte(ca)) {
		return nil, errors.New("its CA is not PEM")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	transport.MaxIdleConnsPerHost = 32
	transport.ResponseHeaderTimeout = time.Minute
	return &http.Client{Transport: transport}, nil
}

func (c Config) clientOptions(client *http.Client) *arm.ClientOptions {
	conf := azcloud.AzurePublic
	if c.ResourceManager != "" {
		conf = azcloud.Configuration{
			ActiveDirectoryAuthorityHost: c.Authority,
			Services: map[azcloud.ServiceName]azcloud.ServiceConfiguration{
				azcloud.ResourceManager: {Endpoint: c.ResourceManager, Audience: c.Audience},
			},
		}
	}
	options := clientOptions(client)
	options.Cloud = conf
	return &arm.ClientOptions{ClientOptions: options}
}

// clientOptions are what all clients of the SDK have in common.
func clientOptions(client *http.Client) azcore.ClientOptions {
	return azcore.ClientOptions{
		Transport: client,
		Telemetry: policy.TelemetryOptions{ApplicationID: "frankenetes"},
		Retry:     policy.RetryOptions{MaxRetries: 5, RetryDelay: 200 * time.Millisecond, MaxRetryDelay: 20 * time.Second},
	}
}

func (c Config) tokenCredential(opts azcore.ClientOptions) (azcore.TokenCredential, error) {
	// A private authority is unknown to Microsoft's instance discovery.
	private := c.Authority != ""
	switch id := c.Credential; {
	case id.ManagedIdentity != "":
		// The metadata endpoint is plain HTTP inside the group, by address.
		return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
			ID: azidentity.ClientID(id.ManagedIdentity),
		})
	case id.ClientID != "":
		return azidentity.NewClientSecretCredential(c.TenantID, id.ClientID, id.ClientSecret,
			&azidentity.ClientSecretCredentialOptions{ClientOptions: opts, DisableInstanceDiscovery: private})
	default:
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: opts, DisableInstanceDiscovery: private, TenantID: c.TenantID})
	}
}
