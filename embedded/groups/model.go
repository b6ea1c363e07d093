// Package groups is the embedded cloud's container groups: the resource of
// Azure Container Instances and the real containers behind it. It exists so
// that whoever speaks to ACI can speak to this machine instead.
//
// The resource (model, validation, HTTP) is one half. The other half is one
// goroutine for each group that is deployed, which brings its sandbox and
// containers up through the CRI, follows their events, restarts what is to be
// restarted, and takes everything down again.
package groups

import "time"

// Type is the ARM type of a container group.
const Type = "Microsoft.ContainerInstance/containerGroups"

// Group is a container group as ARM spells it (api-version 2023-05-01).
type Group struct {
	ID         string            `json:"id,omitempty"`
	Name       string            `json:"name,omitempty"`
	Type       string            `json:"type,omitempty"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags"`
	Zones      []string          `json:"zones,omitempty"`
	Identity   *Identity         `json:"identity,omitempty"`
	Properties Properties        `json:"properties"`
}

// Identity says which managed identities a group has.
type Identity struct {
	Type                   string                      `json:"type"`
	PrincipalID            string                      `json:"principalId,omitempty"`
	TenantID               string                      `json:"tenantId,omitempty"`
	UserAssignedIdentities map[string]AssignedIdentity `json:"userAssignedIdentities,omitempty"`
}

// AssignedIdentity is filled by the cloud.
type AssignedIdentity struct {
	ClientID    string `json:"clientId,omitempty"`
	PrincipalID string `json:"principalId,omitempty"`
}

// Properties are what a group is made of.
type Properties struct {
	ProvisioningState        string               `json:"provisioningState,omitempty" arm:"readOnly"`
	Containers               []Container          `json:"containers"`
	InitContainers           []Container          `json:"initContainers"`
	ImageRegistryCredentials []RegistryCredential `json:"imageRegistryCredentials,omitempty"`
	RestartPolicy            string               `json:"restartPolicy,omitempty"`
	IPAddress                *IPAddress           `json:"ipAddress,omitempty"`
	OSType                   string               `json:"osType"`
	Volumes                  []Volume             `json:"volumes,omitempty"`
	InstanceView             *GroupView           `json:"instanceView,omitempty" arm:"readOnly"`
	SKU                      string               `json:"sku,omitempty"`
	Priority                 string               `json:"priority,omitempty"`
	Diagnostics              *Diagnostics         `json:"diagnostics,omitempty"`
	SubnetIDs                []SubnetID           `json:"subnetIds,omitempty"`
	DNSConfig                *DNSConfig           `json:"dnsConfig,omitempty"`
	EncryptionProperties     *unsupported         `json:"encryptionProperties,omitempty"`
	Extensions               []unsupported        `json:"extensions,omitempty"`
	ConfidentialCompute      *unsupported         `json:"confidentialComputeProperties,omitempty"`
	ContainerGroupProfile    *unsupported         `json:"containerGroupProfile,omitempty"`
	StandbyPoolProfile       *unsupported         `json:"standbyPoolProfile,omitempty"`
	SecretReferences         []unsupported        `json:"secretReferences,omitempty"`
	IdentityACLs             *unsupported         `json:"identityAcls,omitempty"`
	NetworkProfile           *unsupported         `json:"networkProfile,omitempty"`
}

// Container is an application or an init container.
type Container struct {
	Name       string              `json:"name"`
	Properties ContainerProperties `json:"properties"`
}

// ContainerProperties are what a container is made of.
type ContainerProperties struct {
	Image                string           `json:"image"`
	Command              []string         `json:"command"`
	Ports                []Port           `json:"ports,omitzero"` // an init container has none
	EnvironmentVariables []Variable       `json:"environmentVariables"`
	InstanceView         *ContainerView   `json:"instanceView,omitempty" arm:"readOnly"`
	Resources            *Resources       `json:"resources,omitempty"`
	VolumeMounts         []Mount          `json:"volumeMounts,omitempty"`
	LivenessProbe        *Probe           `json:"livenessProbe,omitempty"`
	ReadinessProbe       *Probe           `json:"readinessProbe,omitempty"`
	SecurityContext      *SecurityContext `json:"securityContext,omitempty"`
	ConfigMap            *unsupported     `json:"configMap,omitempty"`
}

// Port is a port of a container or of the group's address.
type Port struct {
	Protocol string  `json:"protocol,omitempty"`
	Port     integer `json:"port"`
}

// Variable is an environment variable. SecureValue is never returned.
type Variable struct {
	Name                 string  `json:"name"`
	Value                *string `json:"value,omitempty"`
	SecureValue          *string `json:"secureValue,omitempty"`
	SecureValueReference *string `json:"secureValueReference,omitempty"`
}

// Resources are what a container asks for and may use.
type Resources struct {
	Requests *Amount `json:"requests,omitempty"`
	Limits   *Amount `json:"limits,omitempty"`
}

// Amount is CPU in cores and memory in GB (2^30 bytes here, as on Azure).
type Amount struct {
	CPU        *decimal     `json:"cpu,omitempty"`
	MemoryInGB *decimal     `json:"memoryInGB,omitempty"`
	GPU        *unsupported `json:"gpu,omitempty"`
}

// Mount puts a volume of the group into a container.
type Mount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
}

// SecurityContext narrows what a container's processes may do.
type SecurityContext struct {
	Privileged               *bool         `json:"privileged,omitempty"`
	AllowPrivilegeEscalation *bool         `json:"allowPrivilegeEscalation,omitempty"`
	Capabilities             *Capabilities `json:"capabilities,omitempty"`
	RunAsGroup               *int64        `json:"runAsGroup,omitempty"`
	RunAsUser                *int64        `json:"runAsUser,omitempty"`
	SeccompProfile           *string       `json:"seccompProfile,omitempty"`
}

// Capabilities are names without CAP_.
type Capabilities struct {
	Add  []string `json:"add,omitempty"`
	Drop []string `json:"drop,omitempty"`
}

// RegistryCredential opens a registry. Password is never returned.
type RegistryCredential struct {
	Server            string  `json:"server"`
	Username          string  `json:"username,omitempty"`
	Password          string  `json:"password,omitempty"`
	Identity          string  `json:"identity,omitempty"`
	IdentityURL       string  `json:"identityUrl,omitempty"`
	PasswordReference *string `json:"passwordReference,omitempty"`
}

// IPAddress is the group's address as others see it.
type IPAddress struct {
	Ports        []Port `json:"ports"`
	Type         string `json:"type"`
	IP           string `json:"ip,omitempty"`
	DNSNameLabel string `json:"dnsNameLabel,omitempty"`
	// Scope says who may have the label again; see fullName.
	Scope string `json:"autoGeneratedDomainNameLabelScope,omitempty"`
	FQDN  string `json:"fqdn,omitempty"`
}

// Diagnostics say where a client wants logs to go. They are kept and shown, but
// there is no Log Analytics here, and so nothing is sent.
type Diagnostics struct {
	LogAnalytics *LogAnalytics `json:"logAnalytics,omitempty"`
}

// LogAnalytics is a workspace. WorkspaceKey is never returned.
type LogAnalytics struct {
	WorkspaceID         string            `json:"workspaceId"`
	WorkspaceKey        string            `json:"workspaceKey,omitempty"`
	LogType             string            `json:"logType,omitempty"`
	Metadata            map[string]string `json:"metadata,omitempty"`
	WorkspaceResourceID string            `json:"workspaceResourceId,omitempty"`
}

// Volume has a name and exactly one kind. The values of Secret, base64, and
// the account key are never returned.
type Volume struct {
	Name            string            `json:"name"`
	AzureFile       *AzureFile        `json:"azureFile,omitempty"`
	EmptyDir        *struct{}         `json:"emptyDir,omitempty"`
	Secret          map[string]string `json:"secret,omitzero"` // kept when empty: it is the volume's kind
	GitRepo         *GitRepo          `json:"gitRepo,omitempty"`
	SecretReference *unsupported      `json:"secretReference,omitempty"`
}

// AzureFile is a share of a storage account.
type AzureFile struct {
	ShareName          string `json:"shareName"`
	ReadOnly           bool   `json:"readOnly,omitempty"`
	StorageAccountName string `json:"storageAccountName"`
	StorageAccountKey  string `json:"storageAccountKey,omitempty"`
	// StorageAccountKeyReference is a secret reference, of api-version 2025-09-01.
	StorageAccountKeyReference *string `json:"storageAccountKeyReference,omitempty"`
}

// GitRepo is a repository that is cloned once, before the containers start.
type GitRepo struct {
	Repository string `json:"repository"`
	// Directory is below the volume; empty means one named after the repository.
	Directory string `json:"directory,omitempty"`
	// Revision is a branch, a tag or a commit; empty means the default branch.
	Revision string `json:"revision,omitempty"`
}

// Probe finds out whether a container is well: it has exactly one of Exec and
// HTTPGet. Times are in seconds; what is nil has the default of Kubernetes.
type Probe struct {
	Exec                *ExecProbe `json:"exec,omitempty"`
	HTTPGet             *HTTPProbe `json:"httpGet,omitempty"`
	InitialDelaySeconds *integer   `json:"initialDelaySeconds,omitempty"`
	PeriodSeconds       *integer   `json:"periodSeconds,omitempty"`
	FailureThreshold    *integer   `json:"failureThreshold,omitempty"`
	SuccessThreshold    *integer   `json:"successThreshold,omitempty"`
	TimeoutSeconds      *integer   `json:"timeoutSeconds,omitempty"`
}

// ExecProbe runs a command in the container; exit code 0 is well.
type ExecProbe struct {
	Command []string `json:"command"`
}

// HTTPProbe asks a port of the container; 200 to 399 is well.
type HTTPProbe struct {
	Path    string       `json:"path,omitempty"`
	Port    integer      `json:"port"`
	Scheme  string       `json:"scheme,omitempty"`
	Headers []HTTPHeader `json:"httpHeaders,omitempty"`
}

// HTTPHeader is a header of a probe's request.
type HTTPHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// SubnetID names the subnet that a group is in.
type SubnetID struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// DNSConfig is what a group in a virtual network has in its resolv.conf.
// SearchDomains and Options are lists with blanks between the items.
type DNSConfig struct {
	NameServers   []string `json:"nameServers"`
	SearchDomains string   `json:"searchDomains,omitempty"`
	Options       string   `json:"options,omitempty"`
}

// GroupView is the state of a group.
type GroupView struct {
	Events []Event `json:"events"`
	State  string  `json:"state"`
}

// ContainerView is the state of a container.
type ContainerView struct {
	RestartCount  int32           `json:"restartCount"`
	CurrentState  *ContainerState `json:"currentState,omitempty"`
	PreviousState *ContainerState `json:"previousState,omitempty"`
	Events        []Event         `json:"events"`
}

// ContainerState is one phase in a container's life.
type ContainerState struct {
	// State is Waiting, Running or Terminated.
	State      string     `json:"state"`
	StartTime  *time.Time `json:"startTime,omitempty"`
	ExitCode   *int32     `json:"exitCode,omitempty"`
	FinishTime *time.Time `json:"finishTime,omitempty"`
	// DetailStatus says why, in a word or a line.
	DetailStatus string `json:"detailStatus"`
}

// Event is something that happened, once or repeatedly.
type Event struct {
	Count          int32     `json:"count"`
	FirstTimestamp time.Time `json:"firstTimestamp"`
	LastTimestamp  time.Time `json:"lastTimestamp"`
	Name           string    `json:"name"`
	Message        string    `json:"message"`
	// Type is Normal or Warning.
	Type string `json:"type"`
}
