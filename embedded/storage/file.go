package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
)

// maxFile is the size of the largest file, in bytes.
const maxFile = 4 << 40

// serveFile answers a request about a file.
func (f *filesRequest) serveFile() error {
	comp := f.query.Get("comp")
	switch {
	case f.Method == http.MethodPut && comp == "":
		if f.Header.Get("x-ms-copy-source") != "" {
			return f.copyFile()
		}
		return f.createFile()
	case f.Method == http.MethodPut && comp == "range":
		return f.withFile(os.O_RDWR, true, f.putRange)
	case f.Method == http.MethodPut && comp == "properties":
		return f.withFile(os.O_RDWR, true, func(e *entry) error { return f.setProperties(e, false) })
	case f.Method == http.MethodPut && comp == "metadata":
		return f.withFile(os.O_RDWR, true, f.setMetadata)
	case f.Method == http.MethodPut && comp == "lease":
		e, err := f.openFile(os.O_RDONLY)
		if err != nil {
			return err
		}
		defer e.close()
		return f.leaseFile(e)
	case f.Method == http.MethodPut && comp == "copy":
		return f.withFile(os.O_RDONLY, false, f.abortCopy)
	case f.Method == http.MethodGet && comp == "rangelist":
		return f.withFile(os.O_RDONLY, false, f.listRanges)
	case comp != "" && (comp != "metadata" || f.Method == http.MethodPut || f.Method == http.MethodDelete):
		return f.unsupported()
	case f.Method == http.MethodGet && comp == "":
		return f.withFile(os.O_RDONLY, false, f.getFile)
	case f.Method == http.MethodGet, f.Method == http.MethodHead:
		return f.withFile(os.O_RDONLY, false, func(e *entry) error {
			f.fileHeaders(e)
			f.w.Header().Set("Content-Length", strconv.FormatInt(e.info.Size(), 10))
			f.w.WriteHeader(http.StatusOK)
			return nil
		})
	case f.Method == http.MethodDelete:
		return f.withFile(os.O_RDONLY, true, f.deleteFile)
	}
	return f.unsupported()
}

// withFile opens the file that a request is about for as long as fn works on
// it. What writes must show the file's lease, if it has one.
func (f *filesRequest) withFile(flag int, writes bool, fn func(*entry) error) error {
	e, err := f.openFile(flag)
	if err != nil {
		return err
	}
	defer e.close()
	if err := e.Lease.check(f.Header, writes); err != nil {
		return err
	}
	return fn(e)
}

// fileHeaders tells what a file is.
func (f *filesRequest) fileHeaders(e *entry) {
	f.entryHeaders(e)
	h := f.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	for name, value := range e.Headers {
		h.Set(name, value)
	}
	showMetadata(h, e.Metadata)
	h.Set("Accept-Ranges", "bytes")
	h.Set("x-ms-type", "File")
	h.Set("x-ms-server-encrypted", "true")
	e.Lease.show(h)
	e.Copy.show(h)
}

// size returns the file size that a header asks for.
func (f *filesRequest) size() (int64, error) {
	const name = "x-ms-content-length"
	n, err := strconv.ParseInt(f.Header.Get(name), 10, 64)
	if err != nil || n < 0 {
		return 0, invalidHeader(name)
	}
	if n > maxFile {
		return 0, &filesError{http.StatusBadRequest, "OutOfRangeInput", "A file may have up to 4 TiB."}
	}
	return n, nil
}

// createFile makes a file of a size, all zeros, in place of one that is there.
func (f *filesRequest) createFile() error {
	size, err := f.size()
	if err != nil {
		return err
	}
	made := attributes{}
	if made.Metadata, err = f.metadata(); err != nil {
		return err
	}
	made.setHeaders(f.Header)
	t, err := f.smbProperties(&made, false)
	if err != nil {
		return err
	}
	e, err := f.empty(made)
	if err != nil {
		return err
	}
	defer e.close()
	if err := e.file.Truncate(size); err != nil {
		return err
	}
	if err := e.setTimes(t); err != nil {
		return err
	}
	return f.changed(e, http.StatusCreated)
}

// empty makes the file that a request is about, without content, or empties the
// one there is: it stays the same file for those who have it open. A lease of
// it stays too.
func (f *filesRequest) empty(with attributes) (*entry, error) {
	if err := f.checkNew(); err != nil {
		return nil, err
	}
	made, err := f.root.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, f.parentError(err)
	}
	if err == nil {
		err = made.Chmod(fileMode) // whatever the umask
		made.Close()
		if err != nil {
			return nil, err
		}
	} else if err := f.grant.overwrite(); err != nil {
		return nil, err
	}
	e, err := f.openFile(os.O_RDWR)
	if errors.Is(err, errResourceNotFound) {
		err = errTypeMismatch
	}
	if err != nil {
		return nil, err
	}
	err = f.amend(e, func(a *attributes) error {
		if err := a.Lease.check(f.Header, true); err != nil {
			return err
		}
		with.Lease = a.Lease
		*a = with
		return e.file.Truncate(0)
	})
	if err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (f *filesRequest) deleteFile(*entry) error {
	if err := f.root.Remove(f.path); err != nil {
		return err
	}
	f.w.WriteHeader(http.StatusAccepted)
	return nil
}

// getFile answers a file, or a range of it.
func (f *filesRequest) getFile(e *entry) error {
	first, length, status := int64(0), e.info.Size(), http.StatusOK
	wanted, ranged, err := f.byteRange()
	if err != nil {
		return err
	}
	if ranged {
		if wanted.first >= e.info.Size() {
			return errInvalidRange
		}
		last := min(wanted.last, e.info.Size()-1)
		first, length, status = wanted.first, last-wanted.first+1, http.StatusPartialContent
	}
	f.fileHeaders(e)
	h := f.w.Header()
	if ranged {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, first+length-1, e.info.Size()))
		if md5 := h.Get("Content-MD5"); md5 != "" { // that of the file, not of the range
			h.Set("x-ms-content-md5", md5)
			h.Del("Content-MD5")
		}
	}
	if err := f.rangeMD5(e, ranged, first, length); err != nil {
		return err
	}
	f.grant.overrideHeaders(h)
	h.Set("Content-Length", strconv.FormatInt(length, 10))
	f.w.WriteHeader(status)
	// A file that another shortens meanwhile ends early; the client sees that
	// it has less than the length it was told.
	if _, err := io.Copy(f.w, io.NewSectionReader(e.file, first, length)); err != nil {
		f.service.log.Debug("send file", "path", f.path, "error", err)
	}
	return nil
}
