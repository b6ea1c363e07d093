package storage_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/file"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/sas"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/service"
	"github.com/google/go-cmp/cmp"
)

// TestAnAccountHasAHostNameToo: as az builds it from a cloud's storage suffix.
func TestAnAccountHasAHostNameToo(t *testing.T) {
	w := start(t)
	key := w.share(t, "account1", "data")
	_, port, _ := net.SplitHostPort(w.files.Listener.Addr().String())
	dialer := net.Dialer{}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: w.files.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, w.files.Listener.Addr().String())
		},
	}}
	defer client.CloseIdleConnections()
	files := must[*service.Client](t)(service.NewClientWithSharedKeyCredential("https://account1.file.localhost:"+port+"/", signer(t, "account1", key),
		&service.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: client}}))
	root := files.NewShareClient("data").NewRootDirectoryClient()
	must[file.CreateResponse](t)(root.NewFileClient("f").Create(t.Context(), 3, nil))
	must[file.RenameResponse](t)(root.NewFileClient("f").Rename(t.Context(), "g", nil))
	must[file.StartCopyFromURLResponse](t)(root.NewFileClient("h").StartCopyFromURL(t.Context(), root.NewFileClient("g").URL(), nil))
	if _, err := os.Stat(filepath.Join(w.dir, "account1", "data", "h")); err != nil {
		t.Error(err)
	}
}

func TestCopiesNeedToReadTheirSource(t *testing.T) {
	w := start(t)
	key1, key2 := w.share(t, "account1", "data"), w.share(t, "account2", "data")
	from := w.filesClient(t, "account1", key1).NewShareClient("data").NewRootDirectoryClient().NewFileClient("secret")
	must[file.CreateResponse](t)(from.Create(t.Context(), 6, nil))
	if err := from.UploadBuffer(t.Context(), []byte("secret"), nil); err != nil {
		t.Fatal(err)
	}
	to := w.filesClient(t, "account2", key2).NewShareClient("data").NewRootDirectoryClient().NewFileClient("copy")
	for name, source := range map[string]string{
		"of another account":   from.URL(),
		"of another cloud":     "https://127.0.0.1:1/account1/data/secret",
		"with a bad signature": from.URL() + "?sv=2024-08-04&sr=f&sp=r&se=2099-01-01T00:00:00Z&sig=AAAA",
	} {
		if _, err := to.StartCopyFromURL(t.Context(), source, nil); err == nil {
			t.Errorf("%s: it was copied", name)
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "account2", "data", "copy")); !os.IsNotExist(err) {
		t.Errorf("a copy that was refused left a file: %v", err)
	}
	signed := must[string](t)(from.GetSASURL(sas.FilePermissions{Read: true}, time.Now().Add(time.Hour), nil))
	must[file.StartCopyFromURLResponse](t)(to.StartCopyFromURL(t.Context(), signed, nil))
	if got := must[[]byte](t)(os.ReadFile(filepath.Join(w.dir, "account2", "data", "copy"))); string(got) != "secret" {
		t.Errorf("the copy has %q", got)
	}
	// az names the source by the account's host, however it reaches the account.
	named := strings.Replace(signed, "127.0.0.1", "account1.file.localhost", 1)
	named = strings.Replace(named, "/account1/", "/", 1)
	must[file.StartCopyFromURLResponse](t)(to.StartCopyFromURL(t.Context(), named, nil))
	if _, err := to.StartCopyFromURL(t.Context(), strings.Replace(named, ".localhost:", ".localhost:1", 1), nil); err == nil {
		t.Error("it was copied from another cloud that has the name")
	}
	if shown := must[file.GetPropertiesResponse](t)(to.GetProperties(t.Context(), nil)); strings.Contains(*shown.CopySource, "sig") {
		t.Error("the signature of the source is shown to who reads the copy")
	}
}

func TestAnUploadThatEndsEarlyChangesNothing(t *testing.T) {
	w := start(t)
	key := w.share(t, "account1", "data")
	path := filepath.Join(w.dir, "account1", "data", "f")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	q := must[sas.QueryParameters](t)(sas.SignatureValues{ExpiryTime: time.Now().Add(time.Hour), ShareName: "data", Permissions: "w"}.SignWithSharedKey(signer(t, "account1", key)))
	conn := must[*tls.Conn](t)(tls.Dial("tcp", w.files.Listener.Addr().String(), w.files.Client().Transport.(*http.Transport).TLSClientConfig))
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /account1/data/f?comp=range&%s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nx-ms-range: bytes=0-9\r\nx-ms-write: update\r\n\r\nabc", q.Encode())
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer := must[*http.Response](t)(http.ReadResponse(bufio.NewReader(conn), nil))
	answer.Body.Close()
	if answer.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d", answer.StatusCode)
	}
	if got := must[[]byte](t)(os.ReadFile(path)); string(got) != "0123456789" {
		t.Errorf("the file has %q", got)
	}
}

func TestTwoWritersOfOneFile(t *testing.T) {
	w := start(t)
	root, dir := w.open(t)
	const part, parts = 64 << 10, 8
	client := root.NewFileClient("f")
	must[file.CreateResponse](t)(client.Create(t.Context(), 2*part*parts, nil))
	var writers sync.WaitGroup
	for writer, letter := range []string{"a", "b"} {
		writers.Go(func() {
			for i := range parts {
				at := int64((2*i + writer) * part)
				if _, err := client.UploadRange(t.Context(), at, streaming.NopCloser(strings.NewReader(strings.Repeat(letter, part))), nil); err != nil {
					t.Errorf("%s at %d: %v", letter, at, err)
				}
			}
		})
	}
	writers.Wait()
	want := strings.Repeat(strings.Repeat("a", part)+strings.Repeat("b", part), parts)
	if got := must[[]byte](t)(os.ReadFile(filepath.Join(dir, "f"))); string(got) != want {
		t.Error("a part of one writer is missing")
	}
}

func TestBadNames(t *testing.T) {
	w := start(t)
	root, _ := w.open(t)
	for _, name := range []string{"nul", "COM1", "a\x01b", "clock$", "a|b", "a<b", "a:b", "a*", strings.Repeat("x", 256)} {
		if _, err := root.NewFileClient(name).Create(t.Context(), 1, nil); code(err) != "InvalidResourceName" {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"nul.txt", "COM10", "grüße", ".hidden", strings.Repeat("x", 255)} {
		if _, err := root.NewFileClient(name).Create(t.Context(), 1, nil); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTheSumOfWhatIsSentAndReceived(t *testing.T) {
	w := start(t)
	root, _ := w.open(t)
	client := root.NewFileClient("f")
	must[file.CreateResponse](t)(client.Create(t.Context(), 3, nil))
	upload := func(sum []byte) error {
		_, err := client.UploadRange(t.Context(), 0, streaming.NopCloser(strings.NewReader("abc")), &file.UploadRangeOptions{
			TransactionalValidation: file.TransferValidationTypeMD5(sum)})
		return err
	}
	sum := []byte{0x90, 0x01, 0x50, 0x98, 0x3c, 0xd2, 0x4f, 0xb0, 0xd6, 0x96, 0x3f, 0x7d, 0x28, 0xe1, 0x7f, 0x72}
	if err := upload(sum); err != nil {
		t.Error(err)
	}
	if err := upload(make([]byte, 16)); code(err) != "Md5Mismatch" {
		t.Errorf("with a wrong sum: %v", err)
	}
	got := must[file.DownloadStreamResponse](t)(client.DownloadStream(t.Context(), &file.DownloadStreamOptions{
		Range: file.HTTPRange{Count: 3}, RangeGetContentMD5: to.Ptr(true)}))
	defer got.Body.Close()
	if diff := cmp.Diff(sum, got.ContentMD5); diff != "" {
		t.Error(diff)
	}
	if data := must[[]byte](t)(io.ReadAll(got.Body)); string(data) != "abc" {
		t.Errorf("got %q", data)
	}
}
