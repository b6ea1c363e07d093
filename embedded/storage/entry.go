package storage

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// entry is an open file or directory of a share.
type entry struct {
	file *os.File
	info fs.FileInfo
	attributes
}

func (e *entry) close() { e.file.Close() }

// refresh reads anew what the entry is, after a change.
func (e *entry) refresh() (err error) {
	e.info, err = e.file.Stat()
	return err
}

// open opens a file or a directory of the share. Only these two exist for the
// data plane: a container may have made devices, pipes and links, and merely to
// open those could act on this machine. So the path is first found without
// opening what is there, and only what was found is opened.
func (f *filesRequest) open(name string, flag int) (*entry, error) {
	if name == "" {
		name = "."
	}
	found, err := f.root.OpenFile(name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	info, err := found.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		flag = os.O_RDONLY
	} else if !info.Mode().IsRegular() {
		return nil, errResourceNotFound
	}
	file, err := os.OpenFile(fdPath(found), flag, 0)
	if err != nil {
		return nil, err
	}
	e := &entry{file: file}
	if e.info, err = file.Stat(); err == nil {
		e.attributes, err = readAttributes(file)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return e, nil
}

// fdPath names an open file.
func fdPath(file *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", file.Fd()) }

// openFile opens the file, openDirectory the directory that a request is about.
func (f *filesRequest) openFile(flag int) (*entry, error) { return f.openKind(flag, false) }
func (f *filesRequest) openDirectory() (*entry, error)    { return f.openKind(os.O_RDONLY, true) }

func (f *filesRequest) openKind(flag int, dir bool) (*entry, error) {
	e, err := f.open(f.path, flag)
	if err != nil {
		return nil, err
	}
	if e.info.IsDir() != dir {
		e.close()
		return nil, errTypeMismatch
	}
	return e, nil
}

// fileTime is how the data plane writes times of files.
const fileTime = "2006-01-02T15:04:05.0000000Z"

func showTime(t time.Time) string { return t.UTC().Format(fileTime) }

// status is what the system keeps of a file beside its size and mode.
func status(info fs.FileInfo) syscall.Stat_t {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return *stat
	}
	return syscall.Stat_t{}
}

func changeTime(info fs.FileInfo) time.Time { return timeOf(status(info).Ctim) }

func accessTime(info fs.FileInfo) time.Time { return timeOf(status(info).Atim) }

func timeOf(t syscall.Timespec) time.Time { return time.Unix(t.Unix()) }

// inode is a file's id.
func inode(info fs.FileInfo) string { return strconv.FormatUint(status(info).Ino, 10) }

// etag changes whenever a file, or anything kept of it, is written.
func etag(info fs.FileInfo) string {
	return fmt.Sprintf("\"0x%X\"", uint64(changeTime(info).UnixNano())^uint64(info.Size())<<48)
}

// creationTime is when a file was made: what a client said of it, or else what
// the file system knows. name is empty for the open file itself.
func creationTime(at *os.File, name string, info fs.FileInfo) time.Time {
	var x unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	err := unix.Statx(int(at.Fd()), name, flags, unix.STATX_BTIME, &x)
	if err != nil || x.Mask&unix.STATX_BTIME == 0 {
		return info.ModTime()
	}
	return time.Unix(x.Btime.Sec, int64(x.Btime.Nsec))
}

// changed answers that a directory or file was made or changed, with its
// headers. What the request sent is all there: it is kept as it was sent.
func (f *filesRequest) changed(e *entry, status int) error {
	if err := e.refresh(); err != nil {
		return err
	}
	f.entryHeaders(e)
	f.w.Header().Set("x-ms-request-server-encrypted", "true")
	f.w.WriteHeader(status)
	return nil
}

// entryHeaders tells what a directory or file is, but not what kind of answer.
func (f *filesRequest) entryHeaders(e *entry) {
	h := f.w.Header()
	h.Set("ETag", etag(e.info))
	h.Set("Last-Modified", e.info.ModTime().UTC().Format(http.TimeFormat))
	created := e.Created
	if created.IsZero() {
		created = creationTime(e.file, "", e.info)
	}
	h.Set("x-ms-file-creation-time", showTime(created))
	h.Set("x-ms-file-last-write-time", showTime(e.info.ModTime()))
	h.Set("x-ms-file-change-time", showTime(changeTime(e.info)))
	h.Set("x-ms-file-id", inode(e.info))
	h.Set("x-ms-file-parent-id", "0")
	if parent, err := f.root.Lstat(path.Dir(f.directory())); err == nil && f.path != "" {
		h.Set("x-ms-file-parent-id", inode(parent))
	}
	h.Set("x-ms-file-permission-key", permissionKey)
	h.Set("x-ms-file-attributes", e.shownAttributes())
}

// permissionKey names the one permission that all files have: everyone may do
// everything, as in an Azure mount of a group.
const permissionKey = "1*1"

// shownAttributes returns the SMB attributes of a file or directory.
func (e *entry) shownAttributes() string {
	switch {
	case e.FileAttributes != "":
		return e.FileAttributes
	case e.info.IsDir():
		return "Directory"
	}
	return "Archive"
}
