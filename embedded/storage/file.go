package storage

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"syscall"
)

// maxFile is the size of the largest file, in bytes.
const maxFile = 4 << 40

// serveFile answers a request about a file.
func (f *filesRequest) serveFile() error {
	comp := f.query.Get("comp")
	switch {
	case f.Method == http.MethodPut && comp == "":
		return f.createFile()
	case f.Method == http.MethodPut && comp == "range":
		return f.putRange()
	case f.Method == http.MethodPut && comp == "properties":
		return f.setProperties()
	case comp != "":
		return f.unsupported()
	case f.Method == http.MethodGet:
		return f.getFile()
	case f.Method == http.MethodHead:
		info, err := f.statFile()
		if err != nil {
			return err
		}
		f.fileHeaders(info)
		f.w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
		f.w.WriteHeader(http.StatusOK)
		return nil
	case f.Method == http.MethodDelete:
		return f.deleteFile()
	}
	return f.unsupported()
}

// statFile returns the file that a request is about.
func (f *filesRequest) statFile() (fs.FileInfo, error) {
	info, err := f.stat(f.path)
	if err == nil && info.IsDir() {
		return nil, errTypeMismatch
	}
	return info, err
}

// open opens the file that a request is about, which must be a regular one
// before and after: without O_NONBLOCK a pipe put in its place would hold us.
func (f *filesRequest) open(flag int) (*os.File, fs.FileInfo, error) {
	if _, err := f.statFile(); err != nil {
		return nil, nil, err
	}
	file, err := f.root.OpenFile(f.path, flag|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errResourceNotFound
	}
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}

// fileHeaders tells what a file is.
func (f *filesRequest) fileHeaders(info fs.FileInfo) {
	f.entryHeaders(info)
	h := f.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Accept-Ranges", "bytes")
	h.Set("x-ms-type", "File")
	h.Set("x-ms-server-encrypted", "false")
}

// size returns the file size that a header asks for.
func (f *filesRequest) size() (int64, error) {
	const name = "x-ms-content-length"
	n, err := strconv.ParseInt(f.Header.Get(name), 10, 64)
	if err != nil || n < 0 || n > maxFile {
		return 0, invalidHeader(name)
	}
	return n, nil
}

// createFile makes a file of a size, all zeros, in place of one that is there.
func (f *filesRequest) createFile() error {
	if f.Header.Get("x-ms-copy-source") != "" {
		return &filesError{http.StatusNotImplemented, "NotImplemented", "Copies are not offered."}
	}
	size, err := f.size()
	if err != nil {
		return err
	}
	if info, err := f.root.Lstat(f.path); err == nil && !info.Mode().IsRegular() {
		return errTypeMismatch
	}
	file, err := f.root.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NONBLOCK, fileMode)
	if err != nil {
		return f.parentError(err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return errTypeMismatch
	}
	if err := file.Chmod(fileMode); err != nil { // whatever the umask
		return err
	}
	if err := file.Truncate(size); err != nil {
		return err
	}
	return f.answerFile(file, http.StatusCreated)
}

// setProperties changes a file's size, the only property that is kept.
func (f *filesRequest) setProperties() error {
	file, _, err := f.open(os.O_WRONLY)
	if err != nil {
		return err
	}
	defer file.Close()
	if f.Header.Get("x-ms-content-length") != "" {
		size, err := f.size()
		if err != nil {
			return err
		}
		if err := file.Truncate(size); err != nil {
			return err
		}
	}
	return f.answerFile(file, http.StatusOK)
}

// answerFile answers with the headers of an open file.
func (f *filesRequest) answerFile(file *os.File, status int) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	f.entryHeaders(info)
	f.w.WriteHeader(status)
	return nil
}

func (f *filesRequest) deleteFile() error {
	if _, err := f.statFile(); err != nil {
		return err
	}
	if err := f.root.Remove(f.path); err != nil {
		return err
	}
	f.w.WriteHeader(http.StatusAccepted)
	return nil
}

// getFile answers a file, or a range of it.
func (f *filesRequest) getFile() error {
	file, info, err := f.open(os.O_RDONLY)
	if err != nil {
		return err
	}
	defer file.Close()
	first, length, status := int64(0), info.Size(), http.StatusOK
	if wanted, ok, err := f.byteRange(); err != nil {
		return err
	} else if ok {
		if wanted.first >= info.Size() {
			return errInvalidRange
		}
		last := min(wanted.last, info.Size()-1)
		first, length, status = wanted.first, last-wanted.first+1, http.StatusPartialContent
		f.w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, info.Size()))
	}
	f.fileHeaders(info)
	f.w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	f.w.WriteHeader(status)
	if _, err := io.Copy(f.w, io.NewSectionReader(file, first, length)); err != nil {
		f.service.log.Debug("send file", "path", f.path, "error", err)
	}
	return nil
}
