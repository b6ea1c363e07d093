package identity

import (
	"slices"
	"strings"
)

// Role is the id of a built-in role definition, as on Azure.
type Role string

// The roles that there are.
const (
	Owner                   Role = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
	Contributor             Role = "b24988ac-6180-42a0-ab88-20f7382dd24c"
	Reader                  Role = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	UserAccessAdministrator Role = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
	ManagedIdentityOperator Role = "f1a07417-d97a-45cb-824c-7a7467783830"
	NetworkContributor      Role = "4d97b98b-1d4f-4787-a291-c67834d212e7"
	GroupsContributor       Role = "5d977122-f97e-4b4d-a52f-6b43003ddb4d"
	FileDataContributor     Role = "69566ab7-960f-475b-8e7c-b3118f30c6bd"
	FileDataReader          Role = "b8eda974-7b85-4f76-af95-65846b26df6d"
)

// Definition says what a role allows. A pattern is an action in which * stands
// for any characters.
type Definition struct {
	Role              Role
	Name, Description string
	// Actions are of the Resource Manager, less NotActions.
	Actions, NotActions []string
	// DataActions are of what resources hold, such as the files of a share:
	// no pattern of Actions includes them.
	DataActions []string
}

// Roles returns all definitions.
func Roles() []Definition {
	const files = "Microsoft.Storage/storageAccounts/fileServices/"
	const deploy = "Microsoft.Resources/deployments/*"
	return []Definition{
		{Role: Owner, Name: "Owner", Description: "May do everything, assign roles included.", Actions: []string{"*"}},
		{Role: Contributor, Name: "Contributor", Description: "May do everything but assign roles.", Actions: []string{"*"},
			// Who could assign roles could make itself the owner.
			NotActions: []string{"Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write", "Microsoft.Authorization/*/Action"}},
		{Role: Reader, Name: "Reader", Description: "May see everything but secrets, and change nothing.", Actions: []string{"*/read"}},
		{Role: UserAccessAdministrator, Name: "User Access Administrator", Description: "May see everything but secrets, and assign roles.",
			Actions: []string{"*/read", "Microsoft.Authorization/*"}},
		{Role: ManagedIdentityOperator, Name: "Managed Identity Operator", Description: "May see identities and give them to resources.",
			Actions: []string{"Microsoft.ManagedIdentity/userAssignedIdentities/*/read", "Microsoft.ManagedIdentity/userAssignedIdentities/read",
				"Microsoft.ManagedIdentity/userAssignedIdentities/*/assign/action", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
				"Microsoft.Authorization/*/read", "Microsoft.Resources/subscriptions/resourceGroups/read", deploy}},
		{Role: GroupsContributor, Name: "Azure Container Instances Contributor Role", Description: "May do everything with container groups.",
			Actions: []string{"Microsoft.ContainerInstance/containerGroups/*", "Microsoft.Resources/subscriptions/resourceGroups/read", deploy}},
		{Role: NetworkContributor, Name: "Network Contributor", Description: "May do everything with networks.",
			Actions: []string{"Microsoft.Network/*", "Microsoft.Resources/subscriptions/resourceGroups/read", deploy}},
		{Role: FileDataContributor, Name: "Storage File Data Privileged Contributor", Description: "May read and write the files of shares.",
			DataActions: []string{files + "fileShares/files/read", files + "fileShares/files/write", files + "fileShares/files/delete",
				files + "fileshares/files/modifypermissions/action",
				files + "readFileBackupSemantics/action", files + "writeFileBackupSemantics/action"}},
		{Role: FileDataReader, Name: "Storage File Data Privileged Reader", Description: "May read the files of shares.",
			DataActions: []string{files + "fileShares/files/read", files + "readFileBackupSemantics/action"}},
	}
}

// Find returns the definition of a role, given its id or its name, in any case.
func Find(role string) (Definition, bool) {
	for _, d := range Roles() {
		if strings.EqualFold(role, string(d.Role)) || strings.EqualFold(role, d.Name) {
			return d, true
		}
	}
	return Definition{}, false
}

// Name returns what people call the role, empty for one that does not exist.
func (r Role) Name() string {
	d, _ := Find(string(r))
	return d.Name
}

// allows says whether the role includes an action of the Resource Manager.
func (d Definition) allows(action string) bool {
	return matches(d.Actions, action) && !matches(d.NotActions, action)
}

// allowsData says whether the role includes an action on data.
func (d Definition) allowsData(action string) bool { return matches(d.DataActions, action) }

// matches says whether an action fits one of the patterns, in any case.
func matches(patterns []string, action string) bool {
	action = strings.ToLower(action)
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		return fits(strings.ToLower(pattern), action)
	})
}

// fits says whether a text fits a pattern in which * stands for any characters.
func fits(pattern, text string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	if !strings.HasPrefix(text, before) {
		return false
	}
	for rest := text[len(before):]; ; rest = rest[1:] {
		if fits(after, rest) {
			return true
		}
		if rest == "" {
			return false
		}
	}
}
