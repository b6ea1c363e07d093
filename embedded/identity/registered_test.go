package identity_test

import (
	"errors"
	"net/http"
	"testing"

	"frankenetes.dev/embedded/identity"
)

func TestAPrincipalComesAndGoesWithItsRoles(t *testing.T) {
	f := start(t)
	p, secret, err := f.Register("ci")
	if err != nil {
		t.Fatal(err)
	}
	form := f.form()
	form.Set("client_id", p.ClientID)
	form.Set("client_secret", secret)
	status, body := f.post(t, "/"+tenant+"/oauth2/v2.0/token", form)
	if status != http.StatusOK {
		t.Fatalf("sign in: %d %v", status, body)
	}
	who, err := f.Verify(body["access_token"].(string))
	if err != nil || who.ObjectID != p.ObjectID {
		t.Fatalf("the token is of %v, %v", who, err)
	}
	const read = "Microsoft.ContainerInstance/containerGroups/read"
	if f.Allowed(who, read, group) {
		t.Error("a principal without a role may read")
	}
	ra := identity.RoleAssignment{Scope: group, Name: "n", Role: identity.Contributor, PrincipalID: p.ObjectID}
	if _, err := f.Assign(ra); err != nil {
		t.Fatal(err)
	}
	if !f.Allowed(who, read, group) || f.Allowed(who, read, group+"2") {
		t.Error("its role is not good where it should be, or elsewhere")
	}
	if err := f.Unregister("CI"); err != nil {
		t.Fatal(err)
	}
	if f.Allowed(who, read, group) {
		t.Error("the token of one that is gone is still good for something")
	}
	if status, _ := f.post(t, "/"+tenant+"/oauth2/v2.0/token", form); status != http.StatusBadRequest {
		t.Errorf("one that is gone signs in: %d", status)
	}
}

func TestNamesOfPrincipals(t *testing.T) {
	f := start(t)
	if _, _, err := f.Register("ci"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Register("Ci"); !errors.Is(err, identity.ErrPrincipalExists) {
		t.Errorf("a second one of the same name: %v", err)
	}
	for _, name := range []string{"", "a b", "../x", "-x"} {
		if _, _, err := f.Register(name); !errors.Is(err, identity.ErrPrincipalName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := f.Unregister("nobody"); !errors.Is(err, identity.ErrUnknownPrincipal) {
		t.Errorf("nobody was removed: %v", err)
	}
	all, err := f.Principals()
	if err != nil || len(all) != 2 {
		t.Fatalf("there are %v, %v", all, err)
	}
	for _, p := range all {
		if p.ClientID == f.operator.ClientID && f.Unregister(p.Name) == nil {
			t.Error("the operator could be removed")
		}
	}
}

// TestWhatEachRoleAllows is the table of roles by what people expect of them.
func TestWhatEachRoleAllows(t *testing.T) {
	const (
		read      = "Microsoft.ContainerInstance/containerGroups/read"
		write     = "Microsoft.ContainerInstance/containerGroups/write"
		exec      = "Microsoft.ContainerInstance/containerGroups/containers/exec/action"
		keys      = "Microsoft.Storage/storageAccounts/listKeys/action"
		roles     = "Microsoft.Authorization/roleAssignments/write"
		seeRoles  = "Microsoft.Authorization/roleAssignments/read"
		use       = "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action"
		readFile  = "Microsoft.Storage/storageAccounts/fileServices/fileShares/files/read"
		writeFile = "Microsoft.Storage/storageAccounts/fileServices/fileShares/files/write"
	)
	all := []string{read, write, exec, keys, roles, seeRoles, use}
	for role, allowed := range map[identity.Role][]string{
		identity.Owner:                   all,
		identity.Contributor:             {read, write, exec, keys, seeRoles, use},
		identity.Reader:                  {read, seeRoles},
		identity.UserAccessAdministrator: {read, roles, seeRoles},
		identity.ManagedIdentityOperator: {seeRoles, use},
		identity.GroupsContributor:       {read, write, exec},
		identity.FileDataContributor:     {readFile, writeFile},
		identity.FileDataReader:          {readFile},
	} {
		t.Run(role.Name(), func(t *testing.T) {
			f := start(t)
			p, _, err := f.Register("someone")
			if err != nil {
				t.Fatal(err)
			}
			who := identity.Principal{ObjectID: p.ObjectID, ClientID: p.ClientID}
			if _, err := f.Assign(identity.RoleAssignment{Scope: group, Name: "n", Role: role, PrincipalID: p.ObjectID}); err != nil {
				t.Fatal(err)
			}
			want := map[string]bool{}
			for _, action := range allowed {
				want[action] = true
			}
			for _, action := range all {
				if got := f.Allowed(who, action, group); got != want[action] {
					t.Errorf("%s: %v", action, got)
				}
			}
			for _, action := range []string{readFile, writeFile} {
				if got := f.AllowedData(who, action, group); got != want[action] {
					t.Errorf("%s: %v", action, got)
				}
			}
		})
	}
}
