package storage

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
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
	from, err := f.renameSource(source)
	if err != nil {
		return err
	}
	if from == "" || f.path == "" {
		return invalidHeader(header)
	}
	if err := f.checkNew(); err != nil {
		return err
	}
	moved, err := f.open(from, os.O_RDWR)
	if err != nil {
		return err
	}
	defer moved.close()
	info := moved.info
	if err := moved.Lease.check(leaseOf(f.Header, "x-ms-source-lease-id"), true); err != nil {
		return err
	}
	metadata, err := f.metadata()
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
		if err := f.replaceable(); err != nil {
			return err
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
	if len(metadata) > 0 {
		err = f.amend(moved, func(a *attributes) error {
			a.Metadata = metadata
			return nil
		})
		if err != nil {
			return err
		}
	}
	return f.changed(moved, http.StatusOK)
}

// renameSource returns the path of what is renamed, which must be of the same
// share, and which a signature of its own must allow to change where the
// request's is of another file.
func (f *filesRequest) renameSource(u *url.URL) (string, error) {
	r := &http.Request{Method: http.MethodPut, URL: u, Host: u.Host, Header: http.Header{}, RemoteAddr: f.RemoteAddr}
	from, err := f.service.parse(f.w, r)
	if err != nil || from.account.Name != f.account.Name || from.share != f.share {
		return "", invalidHeader("x-ms-file-rename-source")
	}
	if !from.query.Has("sig") && f.query.Get("sr") != "f" {
		return from.path, nil
	}
	if from.grant, err = from.sharedAccess(from.query, time.Now()); err != nil {
		return "", err
	}
	return from.path, from.grant.meets(need{"o", "w"})
}

// replaceable says whether the file at the request's path may be replaced.
func (f *filesRequest) replaceable() error {
	if err := f.grant.overwrite(); err != nil {
		return err
	}
	e, err := f.openFile(os.O_RDONLY)
	if err != nil {
		return err
	}
	defer e.close()
	return e.Lease.check(leaseOf(f.Header, "x-ms-destination-lease-id"), true)
}

// leaseOf returns the lease that a header names, as the header of the lease.
func leaseOf(h http.Header, name string) http.Header {
	lease := http.Header{}
	if id := h.Get(name); id != "" {
		lease.Set("x-ms-lease-id", id)
	}
	return lease
}
