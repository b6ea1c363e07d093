package storage_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/directory"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/file"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/lease"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/share"
)

func TestMetadataStayWithTheirFile(t *testing.T) {
	w := start(t)
	root, dir := w.open(t)
	ctx := t.Context()
	f := root.NewFileClient("f")
	must[file.CreateResponse](t)(f.Create(ctx, 3, &file.CreateOptions{
		Metadata:    map[string]*string{"colour": to.Ptr("red")},
		HTTPHeaders: &file.HTTPHeaders{ContentType: to.Ptr("text/plain"), CacheControl: to.Ptr("no-store")},
	}))
	expect := func(f *file.Client, colour, kind string) {
		t.Helper()
		got := must[file.GetPropertiesResponse](t)(f.GetProperties(ctx, nil))
		shown := ""
		if c := got.Metadata["Colour"]; c != nil {
			shown = *c
		}
		if shown != colour || *got.ContentType != kind {
			t.Errorf("%s is %q, %q", *got.ContentType, shown, colour)
		}
	}
	expect(f, "red", "text/plain")
	// A container writes into it, and the client renames it.
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("new content"), 0o600); err != nil {
		t.Fatal(err)
	}
	must[file.RenameResponse](t)(f.Rename(ctx, "g", nil))
	g := root.NewFileClient("g")
	expect(g, "red", "text/plain")
	before := must[file.GetPropertiesResponse](t)(g.GetProperties(ctx, nil))
	must[file.ResizeResponse](t)(g.Resize(ctx, 5, nil))
	expect(g, "red", "text/plain")
	must[file.SetMetadataResponse](t)(g.SetMetadata(ctx, &file.SetMetadataOptions{Metadata: map[string]*string{"colour": to.Ptr("blue")}}))
	after := must[file.GetPropertiesResponse](t)(g.GetProperties(ctx, nil))
	if *before.ETag == *after.ETag {
		t.Error("the ETag is that of before the change")
	}
	must[file.SetHTTPHeadersResponse](t)(g.SetHTTPHeaders(ctx, &file.SetHTTPHeadersOptions{HTTPHeaders: &file.HTTPHeaders{ContentType: to.Ptr("image/png")}}))
	expect(g, "blue", "image/png")

	must[file.StartCopyFromURLResponse](t)(root.NewFileClient("copy").StartCopyFromURL(ctx, g.URL(), nil))
	expect(root.NewFileClient("copy"), "blue", "image/png")
	must[file.CreateResponse](t)(g.Create(ctx, 1, nil))
	expect(g, "", "application/octet-stream")

	sub := root.NewSubdirectoryClient("sub")
	must[directory.CreateResponse](t)(sub.Create(ctx, &directory.CreateOptions{Metadata: map[string]*string{"k": to.Ptr("v")}}))
	if got := must[directory.GetPropertiesResponse](t)(sub.GetProperties(ctx, nil)); *got.Metadata["K"] != "v" {
		t.Errorf("the directory has %v", got.Metadata)
	}
	if _, err := g.SetMetadata(ctx, &file.SetMetadataOptions{Metadata: map[string]*string{"no-name": to.Ptr("v")}}); code(err) != "InvalidMetadata" {
		t.Errorf("a name that is none: %v", err)
	}
	if _, err := g.SetMetadata(ctx, &file.SetMetadataOptions{Metadata: map[string]*string{"k": to.Ptr(strings.Repeat("x", 9<<10))}}); code(err) != "MetadataTooLarge" {
		t.Errorf("more than 8 KiB: %v", err)
	}
}

func TestTimesAndSMBAttributesThatAClientGives(t *testing.T) {
	w := start(t)
	root, _ := w.open(t)
	f := root.NewFileClient("f")
	then := time.Date(2001, 2, 3, 4, 5, 6, 700, time.UTC)
	must[file.CreateResponse](t)(f.Create(t.Context(), 3, &file.CreateOptions{SMBProperties: &file.SMBProperties{
		CreationTime: &then, LastWriteTime: &then, Attributes: &file.NTFSFileAttributes{ReadOnly: true}}}))
	got := must[file.GetPropertiesResponse](t)(f.GetProperties(t.Context(), nil))
	if !got.FileCreationTime.Equal(then) || !got.FileLastWriteTime.Equal(then) || *got.FileAttributes != "ReadOnly" {
		t.Errorf("%v, %v, %v", got.FileCreationTime, got.FileLastWriteTime, *got.FileAttributes)
	}
}

func TestALeaseKeepsOthersFromAFile(t *testing.T) {
	w := start(t)
	root, _ := w.open(t)
	ctx := t.Context()
	f := root.NewFileClient("f")
	must[file.CreateResponse](t)(f.Create(ctx, 3, nil))
	mine := must[*lease.FileClient](t)(lease.NewFileClient(f, nil))
	must[lease.FileAcquireResponse](t)(mine.Acquire(ctx, nil))
	if _, err := must[*lease.FileClient](t)(lease.NewFileClient(f, nil)).Acquire(ctx, nil); code(err) != "LeaseAlreadyPresent" {
		t.Errorf("a second lease: %v", err)
	}
	if _, err := f.Resize(ctx, 1, nil); code(err) != "LeaseIdMissing" {
		t.Errorf("write without it: %v", err)
	}
	if _, err := f.Rename(ctx, "g", nil); code(err) != "LeaseIdMissing" {
		t.Errorf("rename without it: %v", err)
	}
	if _, err := f.Create(ctx, 9, nil); code(err) != "LeaseIdMissing" {
		t.Errorf("replace without it: %v", err)
	}
	if got := must[file.GetPropertiesResponse](t)(f.GetProperties(ctx, nil)); *got.LeaseState != "leased" || *got.ContentLength != 3 {
		t.Errorf("%v, %d bytes", *got.LeaseState, *got.ContentLength)
	}
	must[file.ResizeResponse](t)(f.Resize(ctx, 1, &file.ResizeOptions{LeaseAccessConditions: &file.LeaseAccessConditions{LeaseID: mine.LeaseID()}}))
	must[lease.FileBreakResponse](t)(mine.Break(ctx, nil))
	must[file.DeleteResponse](t)(f.Delete(ctx, nil))
}

func TestALeaseKeepsAShare(t *testing.T) {
	w := start(t)
	key := w.share(t, "account1", "data")
	client := w.filesClient(t, "account1", key).NewShareClient("data")
	mine := must[*lease.ShareClient](t)(lease.NewShareClient(client, nil))
	must[lease.ShareAcquireResponse](t)(mine.Acquire(t.Context(), 15, nil))
	must[lease.ShareRenewResponse](t)(mine.Renew(t.Context(), nil))
	if _, err := client.Delete(t.Context(), nil); code(err) != "LeaseIdMissing" {
		t.Errorf("delete without it: %v", err)
	}
	if _, err := w.shares.Delete(t.Context(), "g", "account1", "data", nil); code(err) != "ContainerOperationFailure" {
		t.Errorf("delete through the Resource Manager: %v", err)
	}
	must[lease.ShareReleaseResponse](t)(mine.Release(t.Context(), nil))
	must[share.DeleteResponse](t)(client.Delete(t.Context(), nil))
}

func TestWhatIsWrittenOfAFileIsListed(t *testing.T) {
	w := start(t)
	root, dir := w.open(t)
	f := root.NewFileClient("f")
	must[file.CreateResponse](t)(f.Create(t.Context(), 3<<20, nil))
	if list := must[file.GetRangeListResponse](t)(f.GetRangeList(t.Context(), nil)); len(list.Ranges) != 0 || *list.FileContentLength != 3<<20 {
		t.Errorf("a new file has %d ranges", len(list.Ranges))
	}
	disk := must[*os.File](t)(os.OpenFile(filepath.Join(dir, "f"), os.O_WRONLY, 0))
	defer disk.Close()
	if _, err := disk.WriteAt(make([]byte, 1<<20), 1<<20); err != nil {
		t.Fatal(err)
	}
	list := must[file.GetRangeListResponse](t)(f.GetRangeList(t.Context(), nil))
	if len(list.Ranges) != 1 || *list.Ranges[0].Start != 1<<20 || *list.Ranges[0].End != 2<<20-1 {
		t.Errorf("the ranges are %+v", list.Ranges)
	}
	list = must[file.GetRangeListResponse](t)(f.GetRangeList(t.Context(), &file.GetRangeListOptions{Range: file.HTTPRange{Offset: 1<<20 + 5, Count: 10}}))
	if len(list.Ranges) != 1 || *list.Ranges[0].Start != 1<<20+5 || *list.Ranges[0].End != 1<<20+14 {
		t.Errorf("of ten bytes, the ranges are %+v", list.Ranges)
	}
}
