package storage_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"
	"github.com/google/go-cmp/cmp"

	"frankenetes.dev/embedded/arm/armtest"
	"frankenetes.dev/embedded/storage"
)

const (
	subscription = "/subscriptions/" + armtest.Subscription
	accounts     = subscription + "/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/"
	version      = "?api-version=2024-01-01"
)

// world is a cloud with storage, and its owner's clients.
type world struct {
	*armtest.Cloud
	service  *storage.Service
	dir      string
	files    *httptest.Server
	groups   *armresources.ResourceGroupsClient
	accounts *armstorage.AccountsClient
	shares   *armstorage.FileSharesClient
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{dir: filepath.Join(t.TempDir(), "shares")}
	w.Cloud = armtest.Start(t, func(c *armtest.Cloud) {
		w.service = storage.New(storage.Options{Store: c.Store, Dir: w.dir, Access: c.Authority, Log: c.Log,
			FilesURL: func(account, _ string) string { return w.files.URL + "/" + account + "/" }})
		w.service.Register(c.ARM)
		w.files = httptest.NewTLSServer(w.service.FilesHandler())
		t.Cleanup(w.files.Close)
	})
	cred := w.Owner(t)
	var err1, err2, err3 error
	w.groups, err1 = armresources.NewResourceGroupsClient(armtest.Subscription, cred, w.Options())
	w.accounts, err2 = armstorage.NewAccountsClient(armtest.Subscription, cred, w.Options())
	w.shares, err3 = armstorage.NewFileSharesClient(armtest.Subscription, cred, w.Options())
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	w.group(t, "g")
	return w
}

func (w *world) group(t *testing.T, name string) {
	t.Helper()
	if _, err := w.groups.CreateOrUpdate(t.Context(), name, armresources.ResourceGroup{Location: to.Ptr("local")}, nil); err != nil {
		t.Fatal(err)
	}
}

func (w *world) account(t *testing.T, group, name string) (armstorage.Account, error) {
	t.Helper()
	poller, err := w.accounts.BeginCreate(t.Context(), group, name, armstorage.AccountCreateParameters{
		Location: to.Ptr("local"), Kind: to.Ptr(armstorage.KindStorageV2), SKU: &armstorage.SKU{Name: to.Ptr(armstorage.SKUNameStandardLRS)},
	}, nil)
	if err != nil {
		return armstorage.Account{}, err
	}
	made, err := poller.PollUntilDone(t.Context(), nil)
	return made.Account, err
}

// share makes an account and a share, and returns the account's first key.
func (w *world) share(t *testing.T, account, share string) string {
	t.Helper()
	if _, err := w.account(t, "g", account); err != nil {
		t.Fatal(err)
	}
	if _, err := w.shares.Create(t.Context(), "g", account, share, armstorage.FileShare{}, nil); err != nil {
		t.Fatal(err)
	}
	return w.key(t, account)
}

func (w *world) key(t *testing.T, account string) string {
	t.Helper()
	keys, err := w.accounts.ListKeys(t.Context(), "g", account, nil)
	if err != nil || len(keys.Keys) != 2 {
		t.Fatalf("keys of %s: %v, %v", account, len(keys.Keys), err)
	}
	return *keys.Keys[0].Value
}

func code(err error) string {
	var e *azcore.ResponseError
	if errors.As(err, &e) {
		return e.ErrorCode
	}
	return ""
}

func TestLifeOfAnAccount(t *testing.T) {
	w := start(t)
	made, err := w.account(t, "g", "account1")
	if err != nil {
		t.Fatal(err)
	}
	if *made.Properties.PrimaryEndpoints.File != w.files.URL+"/account1/" || *made.Properties.ProvisioningState != armstorage.ProvisioningStateSucceeded {
		t.Errorf("made %+v", made.Properties)
	}
	key := w.key(t, "account1")
	if _, err := w.account(t, "g", "account1"); err != nil {
		t.Fatal(err)
	}
	if w.key(t, "account1") != key {
		t.Error("a second PUT changed the keys")
	}
	patched, err := w.accounts.Update(t.Context(), "g", "account1", armstorage.AccountUpdateParameters{Tags: map[string]*string{"a": to.Ptr("b")}}, nil)
	if err != nil || *patched.Tags["a"] != "b" || *patched.SKU.Name != armstorage.SKUNameStandardLRS {
		t.Errorf("patched %+v, %v", patched, err)
	}
	page, err := w.accounts.NewListPager(nil).NextPage(t.Context())
	if err != nil || len(page.Value) != 1 || *page.Value[0].Name != "account1" {
		t.Errorf("listed %+v, %v", page.Value, err)
	}
	renewed, err := w.accounts.RegenerateKey(t.Context(), "g", "account1", armstorage.AccountRegenerateKeyParameters{KeyName: to.Ptr("key1")}, nil)
	if err != nil || *renewed.Keys[0].Value == key {
		t.Errorf("the first key was not renewed: %v", err)
	}
	for range 2 {
		if _, err := w.accounts.Delete(t.Context(), "g", "account1", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.accounts.GetProperties(t.Context(), "g", "account1", nil); code(err) != "ResourceNotFound" {
		t.Errorf("after its deletion: %v", err)
	}
}

func TestAccountNamesAreUniqueInTheCloud(t *testing.T) {
	w := start(t)
	w.group(t, "h")
	if _, err := w.account(t, "g", "taken"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.account(t, "h", "taken"); code(err) != "StorageAccountAlreadyTaken" {
		t.Errorf("the same name in another group: %v", err)
	}
	if _, err := w.accounts.GetProperties(t.Context(), "h", "taken", nil); code(err) != "ResourceNotFound" {
		t.Errorf("asked for in the wrong group: %v", err)
	}
	for name, want := range map[string]string{"taken": "AlreadyExists", "Not-Valid": "AccountNameInvalid", "free": ""} {
		got, err := w.accounts.CheckNameAvailability(t.Context(), armstorage.AccountCheckNameAvailabilityParameters{
			Name: &name, Type: to.Ptr("Microsoft.Storage/storageAccounts")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		reason := ""
		if got.Reason != nil {
			reason = string(*got.Reason)
		}
		if reason != want || *got.NameAvailable != (want == "") {
			t.Errorf("%s is available: %v, %s", name, *got.NameAvailable, reason)
		}
	}
}

func TestLifeOfAShare(t *testing.T) {
	w := start(t)
	if _, err := w.account(t, "g", "account1"); err != nil {
		t.Fatal(err)
	}
	create := func(quota int32) (armstorage.FileSharesClientCreateResponse, error) {
		return w.shares.Create(t.Context(), "g", "account1", "data", armstorage.FileShare{
			FileShareProperties: &armstorage.FileShareProperties{ShareQuota: &quota}}, nil)
	}
	made, err := create(7)
	if err != nil || *made.Name != "data" || *made.FileShareProperties.ShareQuota != 7 {
		t.Fatalf("made %+v, %v", made, err)
	}
	if _, err := create(0); code(err) != "InvalidRequestPropertyValue" {
		t.Errorf("a quota of nothing: %v", err)
	}
	kept := filepath.Join(w.dir, "account1", "data", "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := create(8); err != nil || *again.FileShareProperties.ShareQuota != 8 {
		t.Errorf("made again: %v", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("a second PUT lost a file: %v", err)
	}
	page, err := w.shares.NewListPager("g", "account1", nil).NextPage(t.Context())
	if err != nil || len(page.Value) != 1 {
		t.Errorf("listed %+v, %v", page.Value, err)
	}
	for range 2 {
		if _, err := w.shares.Delete(t.Context(), "g", "account1", "data", nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.shares.Get(t.Context(), "g", "account1", "data", nil); code(err) != "ShareNotFound" {
		t.Errorf("after its deletion: %v", err)
	}
	if _, err := create(7); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(kept); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a new share has an old one's file: %v", err)
	}
}

func TestOnlyWhoHasAKeyMayMount(t *testing.T) {
	w := start(t)
	key := w.share(t, "account1", "data")
	other := w.share(t, "account2", "data")
	dir, err := w.service.SharePath("account1", "data", key)
	if err != nil || dir != filepath.Join(w.dir, "account1", "data") {
		t.Errorf("got %s, %v", dir, err)
	}
	for _, test := range []struct {
		account, share, key string
		want                error
	}{
		{"account1", "data", other, storage.ErrBadKey},
		{"account1", "data", "", storage.ErrBadKey},
		{"account1", "none", key, storage.ErrShareNotFound},
		{"account1", "../account2/data", key, storage.ErrShareNotFound},
		{"account1", "", key, storage.ErrShareNotFound},
		{"none", "data", key, storage.ErrAccountNotFound},
		{"../shares/account1", "data", key, storage.ErrAccountNotFound},
	} {
		if dir, err := w.service.SharePath(test.account, test.share, test.key); !errors.Is(err, test.want) || dir != "" {
			t.Errorf("%s of %s: %q, %v", test.share, test.account, dir, err)
		}
	}
}

func TestOthersOnTheMachineCannotReachAShare(t *testing.T) {
	w := start(t)
	w.share(t, "account1", "data")
	for path, want := range map[string]os.FileMode{w.dir: 0o700, filepath.Join(w.dir, "account1"): 0o700, filepath.Join(w.dir, "account1", "data"): 0o777} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
	}
}

func TestAResourceGroupTakesItsAccountsAlong(t *testing.T) {
	w := start(t)
	w.share(t, "account1", "data")
	w.group(t, "g2")
	if _, err := w.account(t, "g2", "account2"); err != nil {
		t.Fatal(err)
	}
	poller, err := w.groups.BeginDelete(t.Context(), "g", nil)
	if err == nil {
		_, err = poller.PollUntilDone(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(w.dir, "account1"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	page, err := w.accounts.NewListPager(nil).NextPage(t.Context())
	if err != nil || len(page.Value) != 1 || *page.Value[0].Name != "account2" {
		t.Errorf("listed %+v, %v", page.Value, err)
	}
}

func TestKeysAreOnlyForThoseWhoMayAskForThem(t *testing.T) {
	w := start(t)
	key := w.share(t, "account1", "data")
	token := w.OwnerToken(t)
	for _, path := range []string{accounts + "account1", strings.TrimSuffix(accounts, "/"), subscription + "/providers/Microsoft.Storage/storageAccounts"} {
		if a := w.Do(t, token, http.MethodGet, path+version, ""); a.Status != http.StatusOK || strings.Contains(a.Body, key) {
			t.Errorf("%s: %d, has the key: %v", path, a.Status, strings.Contains(a.Body, key))
		}
	}
	id := subscription + "/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"
	u, _, err := w.Authority.PutUserAssigned(id, "local", nil)
	if err != nil {
		t.Fatal(err)
	}
	body := `{"properties":{"roleDefinitionId":"acdd72a7-3385-48ef-bd42-f606fba81ae7","principalId":"` + u.PrincipalID + `"}}`
	if a := w.Do(t, token, http.MethodPut, subscription+"/providers/Microsoft.Authorization/roleAssignments/44444444-4444-4444-8444-444444444444"+version, body); a.Status != http.StatusCreated {
		t.Fatalf("make a reader: %d %s", a.Status, a.Body)
	}
	reader := w.As(t, id)
	if a := w.Do(t, reader, http.MethodGet, accounts+"account1"+version, ""); a.Status != http.StatusOK {
		t.Errorf("a reader reads: %d %s", a.Status, a.Body)
	}
	for _, path := range []string{"account1/listKeys", "account1/regenerateKey"} {
		if a := w.Do(t, reader, http.MethodPost, accounts+path+version, `{"keyName":"key1"}`); a.Code() != "AuthorizationFailed" {
			t.Errorf("a reader asks for %s: %d", path, a.Status)
		}
	}
}

func TestBadStorageRequests(t *testing.T) {
	w := start(t)
	w.share(t, "account1", "data")
	token := w.OwnerToken(t)
	good := `{"location":"local","kind":"StorageV2","sku":{"name":"Standard_LRS"}}`
	type want struct {
		Status int
		Code   string
	}
	for _, test := range []struct {
		name, method, path, body string
		want                     want
	}{
		{"capitals", "PUT", "Account", good, want{400, "AccountNameInvalid"}},
		{"two letters", "PUT", "ab", good, want{400, "AccountNameInvalid"}},
		{"dots", "PUT", "%2e%2e%2f", good, want{400, "InvalidRequestUri"}},
		{"no location", "PUT", "abc", `{"kind":"StorageV2","sku":{"name":"Standard_LRS"}}`, want{400, "LocationRequired"}},
		{"no sku", "PUT", "abc", `{"location":"local","kind":"StorageV2"}`, want{400, "InvalidRequestPropertyValue"}},
		{"no kind", "PUT", "abc", `{"location":"local","sku":{"name":"Standard_LRS"}}`, want{400, "InvalidRequestPropertyValue"}},
		{"not JSON", "PUT", "abc", `{`, want{400, "InvalidRequestContent"}},
		{"sku that is text", "PUT", "abc", `{"sku":"x"}`, want{400, "InvalidRequestContent"}},
		{"a key that is not", "POST", "account1/regenerateKey", `{"keyName":"key3"}`, want{400, "InvalidRequestPropertyValue"}},
		{"share with capitals", "PUT", "account1/fileServices/default/shares/Data", `{}`, want{400, "InvalidResourceName"}},
		{"share with two hyphens", "PUT", "account1/fileServices/default/shares/da--ta", `{}`, want{400, "InvalidResourceName"}},
		{"share with dots", "PUT", "account1/fileServices/default/shares/%2e%2e%2fx", `{}`, want{400, "InvalidRequestUri"}},
		{"share of NFS", "PUT", "account1/fileServices/default/shares/nfs", `{"properties":{"enabledProtocols":"NFS"}}`, want{400, "FeatureNotSupported"}},
		{"quota that is text", "PUT", "account1/fileServices/default/shares/abc", `{"properties":{"shareQuota":"x"}}`, want{400, "InvalidRequestContent"}},
		{"share of nothing", "PUT", "none/fileServices/default/shares/abc", `{}`, want{404, "ResourceNotFound"}},
		{"patch of no share", "PATCH", "account1/fileServices/default/shares/none", `{}`, want{404, "ShareNotFound"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := w.Do(t, token, test.method, accounts+test.path+version, test.body)
			if diff := cmp.Diff(test.want, want{a.Status, a.Code()}); diff != "" {
				t.Errorf("%s\n%s", diff, a.Body)
			}
		})
	}
}
