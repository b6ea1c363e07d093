package storage_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/file"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/service"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/share"

	"frankenetes.dev/embedded/arm/armtest"
	"frankenetes.dev/embedded/identity"
)

// signer returns an account's key as azfile signs with it.
func signer(t *testing.T, account, key string) *service.SharedKeyCredential {
	t.Helper()
	return must[*service.SharedKeyCredential](t)(service.NewSharedKeyCredential(account, key))
}

// send sends a request that has nothing but its URL, and returns its status
// and the service's code.
func (w *world) send(t *testing.T, method, path, query string, headers ...string) (int, string) {
	t.Helper()
	r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), method, w.files.URL+path+"?"+query, nil))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response := must[*http.Response](t)(w.files.Client().Do(r))
	response.Body.Close()
	return response.StatusCode, response.Header.Get("x-ms-error-code")
}

func TestASignatureOpensWhatItSays(t *testing.T) {
	w := start(t)
	key := w.share(t, "account1", "data")
	cred := signer(t, "account1", key)
	root := w.filesClient(t, "account1", key).NewShareClient("data").NewRootDirectoryClient()
	must[file.CreateResponse](t)(root.NewFileClient("f").Create(t.Context(), 3, nil))
	must[file.CreateResponse](t)(root.NewFileClient("g").Create(t.Context(), 3, nil))
	later, earlier := time.Now().UTC().Add(time.Hour), time.Now().UTC().Add(-time.Hour)

	ofShare := func(change func(*sas.SignatureValues)) string {
		v := sas.SignatureValues{Protocol: sas.ProtocolHTTPS, ExpiryTime: later, ShareName: "data", Permissions: "rcwdl"}
		if change != nil {
			change(&v)
		}
		q := must[sas.QueryParameters](t)(v.SignWithSharedKey(cred))
		return q.Encode()
	}
	ofAccount := func(permissions, kinds string) string {
		q := must[sas.QueryParameters](t)(sas.AccountSignatureValues{
			Protocol: sas.ProtocolHTTPS, ExpiryTime: later, Permissions: permissions, ResourceTypes: kinds}.SignWithSharedKey(cred))
		return q.Encode()
	}
	all := ofShare(nil)
	readOnly := ofShare(func(v *sas.SignatureValues) { v.Permissions = "rl" })
	oneFile := ofShare(func(v *sas.SignatureValues) { v.FilePath, v.Permissions = "f", "r" })
	newSize := []string{"x-ms-content-length", "1", "x-ms-type", "file"}
	for _, test := range []struct {
		name, method, path, query, sas string
		status                         int
		code                           string
		headers                        []string
	}{
		{"read a file", "GET", "/data/f", "", all, 200, "", nil},
		{"list", "GET", "/data", "restype=directory&comp=list", readOnly, 200, "", nil},
		{"write with a reader's", "PUT", "/data/f", "", readOnly, 403, "AuthorizationPermissionMismatch", newSize},
		{"delete with a reader's", "DELETE", "/data/f", "", readOnly, 403, "AuthorizationPermissionMismatch", nil},
		{"list with a writer's", "GET", "/data", "restype=directory&comp=list", ofShare(func(v *sas.SignatureValues) { v.Permissions = "w" }), 403, "AuthorizationPermissionMismatch", nil},
		{"make a new file with create alone", "PUT", "/data/new", "", ofShare(func(v *sas.SignatureValues) { v.Permissions = "c" }), 201, "", newSize},
		{"replace a file with create alone", "PUT", "/data/g", "", ofShare(func(v *sas.SignatureValues) { v.Permissions = "c" }), 403, "AuthorizationPermissionMismatch", newSize},
		{"one file", "GET", "/data/f", "", oneFile, 200, "", nil},
		{"another file", "GET", "/data/g", "", oneFile, 403, "AuthenticationFailed", nil},
		{"list with one of a file", "GET", "/data", "restype=directory&comp=list", oneFile, 403, "AuthenticationFailed", nil},
		{"delete the share with one of it", "DELETE", "/data", "restype=share", all, 403, "AuthorizationResourceTypeMismatch", nil},
		{"another share", "GET", "/other/f", "", all, 403, "AuthenticationFailed", nil},
		{"more permission than signed", "DELETE", "/data/f", "", strings.Replace(readOnly, "sp=rl", "sp=rdl", 1), 403, "AuthenticationFailed", nil},
		{"longer than signed", "GET", "/data/f", "", strings.Replace(all, "se=20", "se=21", 1), 403, "AuthenticationFailed", nil},
		{"no signature", "GET", "/data/f", "", strings.Replace(all, "sig=", "sig=&x=", 1), 403, "AuthenticationFailed", nil},
		{"expired", "GET", "/data/f", "", ofShare(func(v *sas.SignatureValues) { v.ExpiryTime = earlier }), 403, "AuthenticationFailed", nil},
		{"not yet", "GET", "/data/f", "", ofShare(func(v *sas.SignatureValues) { v.StartTime = later }), 403, "AuthenticationFailed", nil},
		{"begun", "GET", "/data/f", "", ofShare(func(v *sas.SignatureValues) { v.StartTime = earlier }), 200, "", nil},
		{"from here", "GET", "/data/f", "", ofShare(func(v *sas.SignatureValues) { v.IPRange.Start = []byte{127, 0, 0, 1} }), 200, "", nil},
		{"from elsewhere", "GET", "/data/f", "", ofShare(func(v *sas.SignatureValues) {
			v.IPRange.Start, v.IPRange.End = []byte{10, 0, 0, 1}, []byte{10, 0, 0, 9}
		}), 403, "AuthorizationSourceIPMismatch", nil},
		{"with no such policy", "GET", "/data/f", "", ofShare(func(v *sas.SignatureValues) { v.Identifier = "none" }), 403, "AuthenticationFailed", nil},
		{"policies with a signature", "GET", "/data", "restype=share&comp=acl", ofAccount("rwdlc", "sco"), 403, "AuthorizationPermissionMismatch", nil},
		{"account: read a file", "GET", "/data/f", "", ofAccount("r", "o"), 200, "", nil},
		{"account: list shares", "GET", "/", "comp=list", ofAccount("l", "s"), 200, "", nil},
		{"account: list shares without s", "GET", "/", "comp=list", ofAccount("l", "co"), 403, "AuthorizationResourceTypeMismatch", nil},
		{"account: make a share", "PUT", "/more", "restype=share", ofAccount("c", "c"), 201, "", nil},
		{"account: make a share with r", "PUT", "/evenmore", "restype=share", ofAccount("r", "c"), 403, "AuthorizationPermissionMismatch", nil},
		{"account: kinds not signed", "GET", "/data/f", "", strings.Replace(ofAccount("r", "c"), "srt=c", "srt=co", 1), 403, "AuthenticationFailed", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, code := w.send(t, test.method, "/account1"+test.path, test.query+"&"+test.sas, test.headers...)
			if status != test.status || code != test.code {
				t.Errorf("%d %s", status, code)
			}
		})
	}

	other := w.share(t, "account2", "data")
	q := must[sas.QueryParameters](t)(sas.SignatureValues{ExpiryTime: later, ShareName: "data", Permissions: "r"}.SignWithSharedKey(signer(t, "account1", other)))
	if _, code := w.send(t, "GET", "/account1/data/f", q.Encode()); code != "AuthenticationFailed" {
		t.Errorf("signed with another account's key: %s", code)
	}
}

func TestAStoredPolicyCanBeTakenBack(t *testing.T) {
	w := start(t)
	key := w.share(t, "account1", "data")
	client := w.filesClient(t, "account1", key).NewShareClient("data")
	must[file.CreateResponse](t)(client.NewRootDirectoryClient().NewFileClient("f").Create(t.Context(), 3, nil))
	set := func(permission string) {
		t.Helper()
		must[share.SetAccessPolicyResponse](t)(client.SetAccessPolicy(t.Context(), &share.SetAccessPolicyOptions{ShareACL: []*share.SignedIdentifier{{
			ID: to.Ptr("visitors"), AccessPolicy: &share.AccessPolicy{Expiry: to.Ptr(time.Now().Add(time.Hour)), Permission: &permission}}}}))
	}
	set("r")
	got := must[share.GetAccessPolicyResponse](t)(client.GetAccessPolicy(t.Context(), nil))
	if len(got.SignedIdentifiers) != 1 || *got.SignedIdentifiers[0].ID != "visitors" || *got.SignedIdentifiers[0].AccessPolicy.Permission != "r" {
		t.Errorf("the policies are %+v", got.SignedIdentifiers)
	}
	q := must[sas.QueryParameters](t)(sas.SignatureValues{ShareName: "data", Identifier: "visitors"}.SignWithSharedKey(signer(t, "account1", key)))
	read := func(want string) {
		t.Helper()
		if _, code := w.send(t, "GET", "/account1/data/f", q.Encode()); code != want {
			t.Errorf("read: %q, not %q", code, want)
		}
	}
	read("")
	set("l")
	read("AuthorizationPermissionMismatch")
	must[share.SetAccessPolicyResponse](t)(client.SetAccessPolicy(t.Context(), nil))
	read("AuthenticationFailed")
}

// TestATokenReadsWithItsIntent: with a role for data, which the owner of the
// account has not by owning it.
func TestATokenReadsWithItsIntent(t *testing.T) {
	w := start(t)
	key := w.share(t, "account1", "data")
	must[file.CreateResponse](t)(w.filesClient(t, "account1", key).NewShareClient("data").NewRootDirectoryClient().NewFileClient("f").Create(t.Context(), 3, nil))
	open := func(intent *file.ShareTokenIntent) error {
		client := must[*file.Client](t)(file.NewClient(w.files.URL+"/account1/data/f", w.Owner(t), &file.ClientOptions{
			ClientOptions: azcore.ClientOptions{Transport: w.files.Client()}, FileRequestIntent: intent}))
		_, err := client.GetProperties(t.Context(), nil)
		return err
	}
	if err := open(to.Ptr(file.ShareTokenIntentBackup)); code(err) != "AuthorizationPermissionMismatch" {
		t.Errorf("without a role for data: %v", err)
	}
	owner := must[identity.Principal](t)(w.Authority.Verify(string(w.OwnerToken(t))))
	must[bool](t)(w.Authority.Assign(identity.RoleAssignment{Scope: "/subscriptions/" + armtest.Subscription, Name: "n",
		Role: identity.FileDataReader, PrincipalID: owner.ObjectID}))
	if err := open(to.Ptr(file.ShareTokenIntentBackup)); err != nil {
		t.Error(err)
	}
	if err := open(nil); code(err) != "MissingRequiredHeader" {
		t.Errorf("without intent: %v", err)
	}
	status, code := w.send(t, "GET", "/account1/data/f", "", "x-ms-version", "2026-06-06", "x-ms-file-request-intent", "backup",
		"Authorization", "Bearer "+string(w.OwnerToken(t)))
	if status != http.StatusUnauthorized || code != "InvalidAuthenticationInfo" {
		t.Errorf("with a token for the Resource Manager: %d %s", status, code)
	}
}
