package storage

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// rename moves the file or directory that a header names to the request's
// path, within the share. A file that is there is replaced, at once, if the
// request says so.
func (f *filesRequest) rename() error {
	const header = "x-ms-file-rename-source"
	source, err := url.Parse(f.Header.Get(header))
	if err != nil {
		return invalidHeader(header)
	}
	account, share, from, err := splitFilesPath(source)
	if err != nil || account != f.account.Name || share != f.share || from == "" || f.path == "" {
		return invalidHeader(header)
	}
	info, err := f.stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() != (f.query.Get("restype") == "directory") {
		return errTypeMismatch
	}
	replace := strings.EqualFold(f.Header.Get("x-ms-file-rename-replace-if-exists"), "true")
	if there, err := f.root.Lstat(f.path); err == nil {
		switch {
		case !replace:
			return errAlreadyExists
		case there.IsDir() || info.IsDir():
			return errTypeMismatch
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return f.parentError(err)
	}
	err = f.root.Rename(from, f.path)
	if errors.Is(err, syscall.EINVAL) { // a directory into itself
		return invalidHeader(header)
	}
	if err != nil {
		return f.parentError(err)
	}
	if info, err = f.stat(f.path); err != nil {
		return err
	}
	f.entryHeaders(info)
	f.w.WriteHeader(http.StatusOK)
	return nil
}
