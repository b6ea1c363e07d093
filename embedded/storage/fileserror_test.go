package storage

import (
	"fmt"
	"io/fs"
	"net/http"
	"syscall"
	"testing"
)

// TestAFullDiskIsSaidToBeFull: only the user can do something about it.
func TestAFullDiskIsSaidToBeFull(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT} {
		e := filesErrorOf(fmt.Errorf("write: %w", &fs.PathError{Op: "write", Path: "f", Err: errno}))
		if e.status != http.StatusInsufficientStorage || e.code != "ShareSizeLimitReached" {
			t.Errorf("%v: %d %s", errno, e.status, e.code)
		}
	}
	if e := filesErrorOf(syscall.EIO); e.status != http.StatusInternalServerError || e.code != "InternalError" {
		t.Errorf("any other: %d %s", e.status, e.code)
	}
}
