package clients

import (
	"strings"

	"frankenetes.dev/cloud"
)

// SignIn is the command by which az signs in once the variables are set. The
// tenant has to be called so for az not to ask Microsoft about the authority.
const SignIn = `az login --service-principal -u "$AZURE_CLIENT_ID" -p "$AZURE_CLIENT_SECRET" --tenant adfs`

// ConnectStorage is the command that lets az reach the files of an account by
// address: names below localhost do not resolve everywhere.
const ConnectStorage = `export AZURE_STORAGE_CONNECTION_STRING="$(az storage account show-connection-string -n ACCOUNT -g GROUP -o tsv)"`

// azConfig has az use the cloud. The last setting is for versions later than
// 2.45: they need not ask Microsoft about the authority.
const azConfig = `[cloud]
name = ` + azCloud + `

[core]
instance_discovery = false
`

// azClouds is the registration of the cloud, as `az cloud register` writes it.
func azClouds(c cloud.Config) string {
	arm, authority := strings.TrimSuffix(c.ResourceManager, "/"), strings.TrimSuffix(c.Authority, "/")
	return strings.Join([]string{
		"[" + azCloud + "]",
		"profile = latest",
		"endpoint_resource_manager = " + arm + "/",
		"endpoint_management = " + arm + "/",
		// With this path MSAL takes the authority for one that Microsoft does not know.
		"endpoint_active_directory = " + authority + "/adfs",
		"endpoint_active_directory_resource_id = " + arm + "/",
		"endpoint_active_directory_graph_resource_id = " + arm + "/",
		"endpoint_gallery = " + arm + "/",
		"suffix_storage_endpoint = " + c.StorageSuffix,
		"suffix_acr_login_server_endpoint = ." + c.Registry,
		"",
	}, "\n")
}
