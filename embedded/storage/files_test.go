package storage_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/directory"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/file"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/service"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/share"
	"github.com/google/go-cmp/cmp"
)

// files returns a client of an account's data plane that has a key.
func (w *world) filesClient(t *testing.T, account, key string) *service.Client {
	t.Helper()
	cred, err := service.NewSharedKeyCredential(account, key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := service.NewClientWithSharedKeyCredential(w.files.URL+"/"+account+"/", cred,
		&service.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: w.files.Client()}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// open makes an account with a share and returns a client and the directory.
func (w *world) open(t *testing.T) (root *directory.Client, dir string) {
	t.Helper()
	key := w.share(t, "account1", "data")
	return w.filesClient(t, "account1", key).NewShareClient("data").NewRootDirectoryClient(), filepath.Join(w.dir, "account1", "data")
}

func must[T any](t *testing.T) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestAFileComesBackAsItWent(t *testing.T) {
	w := start(t)
	root, dir := w.open(t)
	want := make([]byte, 9<<20+17)
	rand.Read(want)

	must[directory.CreateResponse](t)(root.NewSubdirectoryClient("a dir").Create(t.Context(), nil))
	client := root.NewSubdirectoryClient("a dir").NewFileClient("grüße & more+100%.txt")
	must[file.CreateResponse](t)(client.Create(t.Context(), int64(len(want)), nil))
	if err := client.UploadBuffer(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	onDisk := must[[]byte](t)(os.ReadFile(filepath.Join(dir, "a dir", "grüße & more+100%.txt")))
	if !bytes.Equal(onDisk, want) {
		t.Error("the file on the share differs")
	}
	got := make([]byte, len(want))
	if n, err := client.DownloadBuffer(t.Context(), got, nil); err != nil || int(n) != len(want) || !bytes.Equal(got, want) {
		t.Errorf("downloaded %d bytes, %v", n, err)
	}
	part := must[file.DownloadStreamResponse](t)(client.DownloadStream(t.Context(), &file.DownloadStreamOptions{Range: file.HTTPRange{Offset: 5, Count: 10}}))
	data := must[[]byte](t)(io.ReadAll(part.Body))
	if !bytes.Equal(data, want[5:15]) || *part.ContentRange != "bytes 5-14/9437201" {
		t.Errorf("the range %s has %d bytes", *part.ContentRange, len(data))
	}
	properties := must[file.GetPropertiesResponse](t)(client.GetProperties(t.Context(), nil))
	if *properties.ContentLength != int64(len(want)) || properties.ETag == nil || properties.LastModified == nil {
		t.Errorf("properties: %+v", properties)
	}
	must[file.DeleteResponse](t)(client.Delete(t.Context(), nil))
	if _, err := client.GetProperties(t.Context(), nil); code(err) != "ResourceNotFound" {
		t.Errorf("after its deletion: %v", err)
	}
}

func TestWritesIntoAFile(t *testing.T) {
	w := start(t)
	root, dir := w.open(t)
	client := root.NewFileClient("f")
	must[file.CreateResponse](t)(client.Create(t.Context(), 8, nil))
	write := func(offset int64, text string) error {
		_, err := client.UploadRange(t.Context(), offset, streaming.NopCloser(strings.NewReader(text)), nil)
		return err
	}
	if err := write(2, "abcdef"); err != nil {
		t.Fatal(err)
	}
	if err := write(6, "too long"); code(err) != "InvalidRange" {
		t.Errorf("past the end: %v", err)
	}
	must[file.ClearRangeResponse](t)(client.ClearRange(t.Context(), file.HTTPRange{Offset: 3, Count: 2}, nil))
	must[file.ResizeResponse](t)(client.Resize(t.Context(), 10, nil))
	got := must[[]byte](t)(os.ReadFile(filepath.Join(dir, "f")))
	if want := "\x00\x00a\x00\x00def\x00\x00"; string(got) != want {
		t.Errorf("the file has %q", got)
	}
	must[file.CreateResponse](t)(client.Create(t.Context(), 3, nil))
	if got := must[[]byte](t)(os.ReadFile(filepath.Join(dir, "f"))); string(got) != "\x00\x00\x00" {
		t.Errorf("made again, the file has %q", got)
	}
	if _, err := client.Create(t.Context(), -1, nil); code(err) != "InvalidHeaderValue" {
		t.Errorf("of no size: %v", err)
	}
}

func TestDirectories(t *testing.T) {
	w := start(t)
	root, _ := w.open(t)
	ctx := t.Context()
	sub := root.NewSubdirectoryClient("sub")
	if _, err := root.NewSubdirectoryClient("sub/deep").Create(ctx, nil); code(err) != "ParentNotFound" {
		t.Errorf("below nothing: %v", err)
	}
	must[directory.CreateResponse](t)(sub.Create(ctx, nil))
	if _, err := sub.Create(ctx, nil); code(err) != "ResourceAlreadyExists" {
		t.Errorf("twice: %v", err)
	}
	if _, err := root.NewFileClient("sub").Create(ctx, 1, nil); code(err) != "ResourceTypeMismatch" {
		t.Errorf("a file in its place: %v", err)
	}
	must[file.CreateResponse](t)(sub.NewFileClient("f").Create(ctx, 1, nil))
	if _, err := root.NewSubdirectoryClient("sub/f/below").Create(ctx, nil); code(err) != "ParentNotFound" {
		t.Errorf("below a file: %v", err)
	}
	if _, err := sub.Delete(ctx, nil); code(err) != "DirectoryNotEmpty" {
		t.Errorf("delete what is not empty: %v", err)
	}
	must[directory.GetPropertiesResponse](t)(sub.GetProperties(ctx, nil))
	must[file.DeleteResponse](t)(sub.NewFileClient("f").Delete(ctx, nil))
	must[directory.DeleteResponse](t)(sub.Delete(ctx, nil))
	if _, err := sub.Delete(ctx, nil); code(err) != "ResourceNotFound" {
		t.Errorf("delete it twice: %v", err)
	}
	if _, err := root.Delete(ctx, nil); code(err) != "CannotDeleteFileOrDirectory" {
		t.Errorf("delete the root: %v", err)
	}
}

func TestListsComeInPages(t *testing.T) {
	w := start(t)
	root, dir := w.open(t)
	for _, name := range []string{"b", "a", "e", "bad\x01name", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"d", "c"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	list := func(options directory.ListFilesAndDirectoriesOptions) (names []string, pages int) {
		pager := root.NewListFilesAndDirectoriesPager(&options)
		for pager.More() {
			page := must[directory.ListFilesAndDirectoriesResponse](t)(pager.NextPage(t.Context()))
			pages++
			for _, d := range page.Segment.Directories {
				names = append(names, *d.Name+"/")
			}
			for _, f := range page.Segment.Files {
				if *f.Properties.ContentLength != int64(len(*f.Name)) {
					t.Errorf("%q has %d bytes", *f.Name, *f.Properties.ContentLength)
				}
				names = append(names, *f.Name)
			}
		}
		return names, pages
	}
	names, pages := list(directory.ListFilesAndDirectoriesOptions{})
	if diff := cmp.Diff([]string{"c/", "d/", "a", "b", "bad\x01name", "e", "other"}, names); diff != "" || pages != 1 {
		t.Errorf("in %d pages: %s", pages, diff)
	}
	names, pages = list(directory.ListFilesAndDirectoriesOptions{MaxResults: to.Ptr[int32](2)})
	if diff := cmp.Diff([]string{"a", "b", "c/", "bad\x01name", "d/", "e", "other"}, names); diff != "" || pages != 4 {
		t.Errorf("in %d pages: %s", pages, diff)
	}
	names, _ = list(directory.ListFilesAndDirectoriesOptions{Prefix: to.Ptr("b")})
	if diff := cmp.Diff([]string{"b", "bad\x01name"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestRenames(t *testing.T) {
	w := start(t)
	root, dir := w.open(t)
	ctx := t.Context()
	for name, text := range map[string]string{"new file": "new", "old": "old"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	client := root.NewFileClient("new file")
	if _, err := client.Rename(ctx, "old", nil); code(err) != "ResourceAlreadyExists" {
		t.Errorf("onto another: %v", err)
	}
	if _, err := client.Rename(ctx, "none/f", nil); code(err) != "ParentNotFound" {
		t.Errorf("into nothing: %v", err)
	}
	must[file.RenameResponse](t)(client.Rename(ctx, "old", &file.RenameOptions{ReplaceIfExists: to.Ptr(true)}))
	if got := must[[]byte](t)(os.ReadFile(filepath.Join(dir, "old"))); string(got) != "new" {
		t.Errorf("the file has %q", got)
	}
	if _, err := client.Rename(ctx, "again", nil); code(err) != "ResourceNotFound" {
		t.Errorf("what is gone: %v", err)
	}
	must[directory.CreateResponse](t)(root.NewSubdirectoryClient("d").Create(ctx, nil))
	must[directory.RenameResponse](t)(root.NewSubdirectoryClient("d").Rename(ctx, "e", nil))
	must[directory.GetPropertiesResponse](t)(root.NewSubdirectoryClient("e").GetProperties(ctx, nil))
	if _, err := root.NewSubdirectoryClient("e").Rename(ctx, "e/f", nil); code(err) != "InvalidHeaderValue" {
		t.Errorf("into itself: %v", err)
	}
}

func TestSharesThroughTheDataPlane(t *testing.T) {
	w := start(t)
	key := w.share(t, "account1", "data")
	client := w.filesClient(t, "account1", key)
	other := client.NewShareClient("other")
	must[share.CreateResponse](t)(other.Create(t.Context(), &share.CreateOptions{Quota: to.Ptr[int32](5), Metadata: map[string]*string{"k": to.Ptr("v")}}))
	if _, err := other.Create(t.Context(), nil); code(err) != "ShareAlreadyExists" {
		t.Errorf("twice: %v", err)
	}
	properties := must[share.GetPropertiesResponse](t)(other.GetProperties(t.Context(), nil))
	if *properties.Quota != 5 || *properties.Metadata["K"] != "v" {
		t.Errorf("properties: %+v", properties)
	}
	var names []string
	pager := client.NewListSharesPager(nil)
	for pager.More() {
		page := must[service.ListSharesSegmentResponse](t)(pager.NextPage(t.Context()))
		for _, sh := range page.Shares {
			names = append(names, *sh.Name)
		}
	}
	if diff := cmp.Diff([]string{"data", "other"}, names); diff != "" {
		t.Error(diff)
	}
	must[share.DeleteResponse](t)(other.Delete(t.Context(), nil))
	if _, err := other.NewRootDirectoryClient().GetProperties(t.Context(), nil); code(err) != "ShareNotFound" {
		t.Errorf("after its deletion: %v", err)
	}
	if _, err := client.NewShareClient("Not-Valid").Create(t.Context(), nil); code(err) != "InvalidResourceName" {
		t.Errorf("a bad name: %v", err)
	}
}
