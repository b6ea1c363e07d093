package storage_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/directory"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/service"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/share"
)

func TestOnlyKeysOpenTheDataPlane(t *testing.T) {
	w := start(t)
	key := w.share(t, "account1", "data")
	otherKey := w.share(t, "account2", "data")
	refused := func(what, account, key string) {
		t.Helper()
		_, err := w.filesClient(t, account, key).NewShareClient("data").GetProperties(t.Context(), nil)
		if code(err) != "AuthenticationFailed" {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("another account's key", "account1", otherKey)
	refused("no account", "none", key)
	must[share.GetPropertiesResponse](t)(w.filesClient(t, "account1", key).NewShareClient("data").GetProperties(t.Context(), nil))
	if _, err := w.service.SharePath("account1", "data", key); err != nil {
		t.Fatal(err)
	}
	token := w.OwnerToken(t)
	if a := w.Do(t, token, http.MethodPost, accounts+"account1/regenerateKey"+version, `{"keyName":"key1"}`); a.Status != http.StatusOK {
		t.Fatalf("regenerate: %d %s", a.Status, a.Body)
	}
	refused("a key that has ended", "account1", key)

	for _, authorization := range []string{"", "SharedKey account1:", "SharedKey account1:AAAA", "SharedKey"} {
		r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, w.files.URL+"/account1/data?restype=share", nil))
		r.Header.Set("x-ms-version", "2026-06-06")
		r.Header.Set("x-ms-date", time.Now().UTC().Format(http.TimeFormat))
		r.Header.Set("Authorization", authorization)
		response := must[*http.Response](t)(w.files.Client().Do(r))
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden || response.Header.Get("x-ms-error-code") != "AuthenticationFailed" {
			t.Errorf("%.20q: %d", authorization, response.StatusCode)
		}
	}
}

// tamper changes a request after it was signed.
type tamper struct {
	client *http.Client
	change func(*http.Request)
}

func (s tamper) Do(r *http.Request) (*http.Response, error) {
	s.change(r)
	return s.client.Do(r)
}

func TestASignatureIsForOneRequestAtOneTime(t *testing.T) {
	w := start(t)
	key := w.share(t, "account1", "data")
	cred := must[*service.SharedKeyCredential](t)(service.NewSharedKeyCredential("account1", key))
	for name, change := range map[string]func(*http.Request){
		"another path":   func(r *http.Request) { r.URL.Path += "x" },
		"another query":  func(r *http.Request) { r.URL.RawQuery += "&a=b" },
		"another method": func(r *http.Request) { r.Method = http.MethodDelete },
		"another header": func(r *http.Request) { r.Header.Set("x-ms-share-quota", "6") },
		"another range":  func(r *http.Request) { r.Header.Set("Range", "bytes=0-1") },
		"another date": func(r *http.Request) {
			r.Header.Set("x-ms-date", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
		},
	} {
		client := must[*service.Client](t)(service.NewClientWithSharedKeyCredential(w.files.URL+"/account1/", cred,
			&service.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: tamper{w.files.Client(), change}}}))
		if _, err := client.NewShareClient("data").GetProperties(t.Context(), nil); code(err) != "AuthenticationFailed" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingLeadsOutOfAShare(t *testing.T) {
	w := start(t)
	root, dir := w.open(t)
	secret := filepath.Join(w.dir, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	// What a container with the share could leave there.
	for name, target := range map[string]string{"link": "../../secret", "absolute": secret, "up": "../..", "loop": "loop", "inside": "."} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"link", "absolute", "up/secret", "loop", "pipe", "../secret", "../../secret", "a/../../../secret", "..", "%2e%2e/secret", `..\secret`} {
		client := root.NewFileClient(path)
		if response, err := client.DownloadStream(t.Context(), nil); err == nil {
			data, _ := io.ReadAll(response.Body)
			t.Errorf("%s was read: %q", path, data)
		} else if !clientsFault(err) {
			t.Errorf("read %s: %v", path, err)
		}
		if _, err := client.Create(t.Context(), 1, nil); err == nil {
			t.Errorf("%s was created", path)
		} else if err != nil && !clientsFault(err) {
			t.Errorf("create %s: %v", path, err)
		}
		if _, err := root.NewSubdirectoryClient(path+"/new").Create(t.Context(), nil); err == nil {
			t.Errorf("%s/new was created", path)
		} else if !clientsFault(err) {
			t.Errorf("create %s/new: %v", path, err)
		}
	}
	if got := must[[]byte](t)(os.ReadFile(secret)); string(got) != "secret" {
		t.Errorf("the secret is now %q", got)
	}
	// Sent as bytes that no client library would send.
	for _, path := range []string{"/account1/data/../../secret", "/account1/data/%2e%2e/%2e%2e/secret", "/account1/../account1/data/link"} {
		r := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, w.files.URL, nil))
		r.URL.Opaque = path
		response := must[*http.Response](t)(w.files.Client().Do(r))
		response.Body.Close()
		if response.StatusCode < 400 || response.StatusCode >= 500 {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
	page := must[directory.ListFilesAndDirectoriesResponse](t)(root.NewListFilesAndDirectoriesPager(nil).NextPage(t.Context()))
	if n := len(page.Segment.Files) + len(page.Segment.Directories); n != 0 {
		t.Errorf("links and pipes are listed: %d entries", n)
	}
}

func clientsFault(err error) bool {
	var e *azcore.ResponseError
	return errors.As(err, &e) && e.StatusCode >= 400 && e.StatusCode < 500
}
