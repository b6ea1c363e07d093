package storage_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/storage/armstorage"
	"github.com/google/go-cmp/cmp"
)

func TestSharesAreListedInPages(t *testing.T) {
	w := start(t)
	w.share(t, "account1", "data-1")
	for _, name := range []string{"data-2", "data-3", "other"} {
		must[armstorage.FileSharesClientCreateResponse](t)(w.shares.Create(t.Context(), "g", "account1", name, armstorage.FileShare{}, nil))
	}
	list := func(options armstorage.FileSharesClientListOptions) (pages [][]string) {
		pager := w.shares.NewListPager("g", "account1", &options)
		for pager.More() {
			page := must[armstorage.FileSharesClientListResponse](t)(pager.NextPage(t.Context()))
			var names []string
			for _, sh := range page.Value {
				names = append(names, *sh.Name)
			}
			pages = append(pages, names)
		}
		return pages
	}
	for _, test := range []struct {
		options armstorage.FileSharesClientListOptions
		want    [][]string
	}{
		{armstorage.FileSharesClientListOptions{}, [][]string{{"data-1", "data-2", "data-3", "other"}}},
		{armstorage.FileSharesClientListOptions{Maxpagesize: to.Ptr("3")}, [][]string{{"data-1", "data-2", "data-3"}, {"other"}}},
		{armstorage.FileSharesClientListOptions{Maxpagesize: to.Ptr("2"), Filter: to.Ptr("startswith(name, data)")}, [][]string{{"data-1", "data-2"}, {"data-3"}}},
	} {
		if diff := cmp.Diff(test.want, list(test.options)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAShareTellsWhatItHolds(t *testing.T) {
	w := start(t)
	w.share(t, "account1", "data")
	if err := os.WriteFile(filepath.Join(w.dir, "account1", "data", "f"), make([]byte, 1234), 0o600); err != nil {
		t.Fatal(err)
	}
	got := must[armstorage.FileSharesClientGetResponse](t)(w.shares.Get(t.Context(), "g", "account1", "data", &armstorage.FileSharesClientGetOptions{Expand: to.Ptr("stats")}))
	if *got.FileShareProperties.ShareUsageBytes != 1234 {
		t.Errorf("it holds %d bytes", *got.FileShareProperties.ShareUsageBytes)
	}
}

func TestALeaseThroughTheResourceManager(t *testing.T) {
	w := start(t)
	w.share(t, "account1", "data")
	act := func(body armstorage.LeaseShareRequest) (armstorage.FileSharesClientLeaseResponse, error) {
		return w.shares.Lease(t.Context(), "g", "account1", "data", &armstorage.FileSharesClientLeaseOptions{Parameters: &body})
	}
	got := must[armstorage.FileSharesClientLeaseResponse](t)(act(armstorage.LeaseShareRequest{Action: to.Ptr(armstorage.LeaseShareActionAcquire), LeaseDuration: to.Ptr[int32](-1)}))
	shown := must[armstorage.FileSharesClientGetResponse](t)(w.shares.Get(t.Context(), "g", "account1", "data", nil))
	if *shown.FileShareProperties.LeaseState != armstorage.LeaseStateLeased || *shown.FileShareProperties.LeaseDuration != armstorage.LeaseDurationInfinite {
		t.Errorf("%s, %s", *shown.FileShareProperties.LeaseState, *shown.FileShareProperties.LeaseDuration)
	}
	if _, err := act(armstorage.LeaseShareRequest{Action: to.Ptr(armstorage.LeaseShareActionAcquire), LeaseDuration: to.Ptr[int32](-1)}); code(err) != "LeaseAlreadyPresent" {
		t.Errorf("a second lease: %v", err)
	}
	must[armstorage.FileSharesClientLeaseResponse](t)(act(armstorage.LeaseShareRequest{Action: to.Ptr(armstorage.LeaseShareActionRelease), LeaseID: got.LeaseID}))
	must[armstorage.FileSharesClientDeleteResponse](t)(w.shares.Delete(t.Context(), "g", "account1", "data", nil))
}

func TestSignaturesThatTheResourceManagerMakes(t *testing.T) {
	w := start(t)
	w.share(t, "account1", "data")
	end := to.Ptr(time.Now().Add(time.Hour).UTC().Truncate(time.Second))
	account := must[armstorage.AccountsClientListAccountSASResponse](t)(w.accounts.ListAccountSAS(t.Context(), "g", "account1", armstorage.AccountSasParameters{
		Services: to.Ptr(armstorage.ServicesF), ResourceTypes: to.Ptr(armstorage.SignedResourceTypesS), Permissions: to.Ptr(armstorage.PermissionsL),
		SharedAccessExpiryTime: end, KeyToSign: to.Ptr("key2")}, nil))
	if status, code := w.send(t, http.MethodGet, "/account1/", "comp=list&"+*account.AccountSasToken); status != http.StatusOK {
		t.Errorf("the account's: %d %s", status, code)
	}
	service := must[armstorage.AccountsClientListServiceSASResponse](t)(w.accounts.ListServiceSAS(t.Context(), "g", "account1", armstorage.ServiceSasParameters{
		CanonicalizedResource: to.Ptr("/file/account1/data"), Resource: to.Ptr(armstorage.SignedResource("s")), Permissions: to.Ptr(armstorage.PermissionsL),
		SharedAccessExpiryTime: end}, nil))
	if status, code := w.send(t, http.MethodGet, "/account1/data", "restype=directory&comp=list&"+*service.ServiceSasToken); status != http.StatusOK {
		t.Errorf("the share's: %d %s", status, code)
	}
}

// TestChangesOfAShareDoNotLoseEachOther: each changes one property, none of
// which may be undone by another's.
func TestChangesOfAShareDoNotLoseEachOther(t *testing.T) {
	w := start(t)
	w.share(t, "account1", "data")
	token := w.OwnerToken(t)
	path := accounts + "account1/fileServices/default/shares/data" + version
	for round := range 10 {
		quota, tier := round+1, []string{"Hot", "Cool"}[round%2]
		var both sync.WaitGroup
		for _, body := range []string{fmt.Sprintf(`{"properties":{"shareQuota":%d}}`, quota), fmt.Sprintf(`{"properties":{"accessTier":%q}}`, tier)} {
			both.Go(func() {
				if a := w.Do(t, token, http.MethodPatch, path, body); a.Status != http.StatusOK {
					t.Errorf("%s: %d %s", body, a.Status, a.Body)
				}
			})
		}
		both.Wait()
		got := must[armstorage.FileSharesClientGetResponse](t)(w.shares.Get(t.Context(), "g", "account1", "data", nil))
		if int(*got.FileShareProperties.ShareQuota) != quota || string(*got.FileShareProperties.AccessTier) != tier {
			t.Errorf("%d, %s", *got.FileShareProperties.ShareQuota, *got.FileShareProperties.AccessTier)
		}
	}
}

func TestWhatSharesDoNotHaveIsRefused(t *testing.T) {
	w := start(t)
	w.share(t, "account1", "data")
	token := w.OwnerToken(t)
	for _, test := range []struct{ method, path, body string }{
		{"PUT", "fileServices/default", `{"properties":{"shareDeleteRetentionPolicy":{"enabled":true,"days":7}}}`},
		{"PUT", "fileServices/default", `{"properties":{"cors":{"corsRules":[{}]}}}`},
		{"PUT", "fileServices/default", `{"properties":{"protocolSettings":{"smb":{"versions":"SMB3.0"}}}}`},
		{"POST", "fileServices/default/shares/data/restore", `{"deletedShareName":"data","deletedShareVersion":"1"}`},
	} {
		if a := w.Do(t, token, test.method, accounts+"account1/"+test.path+version, test.body); a.Code() != "FeatureNotSupported" {
			t.Errorf("%s %s: %d %s", test.method, test.path, a.Status, a.Body)
		}
	}
	for _, method := range []string{"GET", "PUT"} {
		if a := w.Do(t, token, method, accounts+"account1/fileServices/default"+version, `{"properties":{"shareDeleteRetentionPolicy":{"enabled":false}}}`); a.Status != http.StatusOK {
			t.Errorf("%s: %d %s", method, a.Status, a.Body)
		}
	}
}
