package storage

import (
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"syscall"
	"time"
)

// fileTime is how the data plane writes times of files.
const fileTime = "2006-01-02T15:04:05.0000000Z"

// etag changes whenever a file is written.
func etag(info fs.FileInfo) string {
	return fmt.Sprintf("\"0x%X\"", uint64(info.ModTime().UnixNano())^uint64(info.Size())<<48)
}

// inode is a file's id.
func inode(info fs.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return strconv.FormatUint(stat.Ino, 10)
	}
	return "0"
}

// entryHeaders tells what a directory or file is.
func (f *filesRequest) entryHeaders(info fs.FileInfo) {
	h := f.w.Header()
	h.Set("ETag", etag(info))
	h.Set("Last-Modified", info.ModTime().UTC().Format(http.TimeFormat))
	h.Set("x-ms-request-server-encrypted", "false")
	h.Set("x-ms-file-last-write-time", info.ModTime().UTC().Format(fileTime))
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		changed := time.Unix(stat.Ctim.Unix())
		h.Set("x-ms-file-change-time", changed.UTC().Format(fileTime))
	}
	h.Set("x-ms-file-id", inode(info))
	if parent, err := f.root.Lstat(path.Dir(f.directory())); err == nil {
		h.Set("x-ms-file-parent-id", inode(parent))
	}
	h.Set("x-ms-file-attributes", "Archive")
	if info.IsDir() {
		h.Set("x-ms-file-attributes", "Directory")
	}
}
