package storage_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/directory"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azfile/file"
)

// openElsewhere has another process hold a file open until the test says so.
func openElsewhere(t *testing.T, path string, flag int) (done func()) {
	t.Helper()
	opened := must[*os.File](t)(os.OpenFile(path, flag, 0))
	cat := exec.CommandContext(t.Context(), "cat")
	cat.ExtraFiles = []*os.File{opened}
	stdin, err := cat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	opened.Close()
	return func() {
		stdin.Close()
		if err := cat.Wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenFilesAreHandles(t *testing.T) {
	w := start(t)
	root, dir := w.open(t)
	ctx := t.Context()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sub", "a file")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	done := openElsewhere(t, path, os.O_RDWR)
	f := root.NewSubdirectoryClient("sub").NewFileClient("a file")
	listed := must[file.ListHandlesResponse](t)(f.ListHandles(ctx, nil))
	if len(listed.Handles) != 1 {
		t.Fatalf("the file has %d handles", len(listed.Handles))
	}
	h := listed.Handles[0]
	if age := time.Since(*h.OpenTime); age < 0 || age > time.Hour {
		t.Errorf("opened %s ago", age)
	}
	if *h.Path != "sub/a file" || *h.ClientIP == "" || h.OpenTime == nil || *h.FileID == "" {
		t.Errorf("the handle is %+v of %s", h, *h.Path)
	}
	count := func(recursive bool) int {
		got := must[directory.ListHandlesResponse](t)(root.ListHandles(ctx, &directory.ListHandlesOptions{Recursive: &recursive}))
		return len(got.Handles)
	}
	if flat, deep := count(false), count(true); flat != 0 || deep != 1 {
		t.Errorf("the share has %d handles itself, %d with what is below", flat, deep)
	}
	// A rename takes the handle along, under the same id.
	must[file.RenameResponse](t)(f.Rename(ctx, "moved", nil))
	moved := must[file.ListHandlesResponse](t)(root.NewFileClient("moved").ListHandles(ctx, nil))
	if len(moved.Handles) != 1 || *moved.Handles[0].ID != *h.ID {
		t.Errorf("the file that moved has %d handles", len(moved.Handles))
	}
	closed := must[file.ForceCloseHandlesResponse](t)(root.NewFileClient("moved").ForceCloseHandles(ctx, *h.ID, nil))
	if *closed.NumberOfHandlesClosed != 0 || *closed.NumberOfHandlesFailedToClose != 1 {
		t.Errorf("closed %d, failed %d", *closed.NumberOfHandlesClosed, *closed.NumberOfHandlesFailedToClose)
	}
	done()
	all := must[directory.ForceCloseHandlesResponse](t)(root.ForceCloseHandles(ctx, "*", &directory.ForceCloseHandlesOptions{Recursive: to.Ptr(true)}))
	if n := count(true); n != 0 || *all.NumberOfHandlesFailedToClose != 0 {
		t.Errorf("after its end there are %d handles", n)
	}
}
