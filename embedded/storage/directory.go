package storage

import (
	"errors"
	"io/fs"
	"net/http"
	"syscall"
)

// fileMode and dirMode are those of an Azure mount: everyone inside the group
// may do everything. The share's parents keep others out.
const fileMode, dirMode = 0o777, 0o777

// directory returns the path for the file operations: "." for the share's root.
func (f *filesRequest) directory() string {
	if f.path == "" {
		return "."
	}
	return f.path
}

// serveDirectory answers a request about a directory.
func (f *filesRequest) serveDirectory() error {
	comp := f.query.Get("comp")
	switch {
	case f.Method == http.MethodGet && comp == "list":
		return f.listDirectory()
	case comp != "":
		return f.unsupported()
	case f.Method == http.MethodPut:
		return f.createDirectory()
	case f.Method == http.MethodDelete:
		return f.deleteDirectory()
	case f.Method == http.MethodGet, f.Method == http.MethodHead:
		info, err := f.statDirectory()
		if err != nil {
			return err
		}
		f.entryHeaders(info)
		f.w.WriteHeader(http.StatusOK)
		return nil
	}
	return f.unsupported()
}

// statDirectory returns the directory that a request is about.
func (f *filesRequest) statDirectory() (fs.FileInfo, error) {
	info, err := f.stat(f.directory())
	if err == nil && !info.IsDir() {
		return nil, errTypeMismatch
	}
	return info, err
}

func (f *filesRequest) createDirectory() error {
	if f.path == "" {
		return errAlreadyExists
	}
	if err := f.root.Mkdir(f.path, dirMode); err != nil {
		return f.parentError(err)
	}
	if err := f.root.Chmod(f.path, dirMode); err != nil { // whatever the umask
		return err
	}
	info, err := f.stat(f.path)
	if err != nil {
		return err
	}
	f.entryHeaders(info)
	f.w.WriteHeader(http.StatusCreated)
	return nil
}

func (f *filesRequest) deleteDirectory() error {
	if f.path == "" {
		return &filesError{http.StatusConflict, "CannotDeleteFileOrDirectory", "The root directory of a share cannot be deleted."}
	}
	if _, err := f.statDirectory(); err != nil {
		return err
	}
	err := f.root.Remove(f.path)
	if errors.Is(err, syscall.ENOTEMPTY) {
		return errNotEmpty
	}
	if err != nil {
		return err
	}
	f.w.WriteHeader(http.StatusAccepted)
	return nil
}
