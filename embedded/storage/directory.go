package storage

import (
	"errors"
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
	case f.Method == http.MethodPut && comp == "":
		return f.createDirectory()
	case f.Method == http.MethodPut && comp == "properties":
		return f.withDirectory(func(e *entry) error { return f.setProperties(e, true) })
	case f.Method == http.MethodPut && comp == "metadata":
		return f.withDirectory(f.setMetadata)
	case comp != "" && (comp != "metadata" || f.Method == http.MethodDelete):
		return f.unsupported()
	case f.Method == http.MethodDelete:
		return f.withDirectory(f.deleteDirectory)
	case f.Method == http.MethodGet, f.Method == http.MethodHead:
		return f.withDirectory(func(e *entry) error {
			f.entryHeaders(e)
			showMetadata(f.w.Header(), e.Metadata)
			f.w.Header().Set("x-ms-server-encrypted", "true")
			f.w.WriteHeader(http.StatusOK)
			return nil
		})
	}
	return f.unsupported()
}

// withDirectory opens the directory that a request is about for as long as fn
// works on it.
func (f *filesRequest) withDirectory(fn func(*entry) error) error {
	e, err := f.openDirectory()
	if err != nil {
		return err
	}
	defer e.close()
	return fn(e)
}

func (f *filesRequest) createDirectory() error {
	if f.path == "" {
		return errAlreadyExists
	}
	if err := f.checkNew(); err != nil {
		return err
	}
	metadata, err := f.metadata()
	if err != nil {
		return err
	}
	made := attributes{Metadata: metadata}
	t, err := f.smbProperties(&made, true)
	if err != nil {
		return err
	}
	if err := f.root.Mkdir(f.path, dirMode); err != nil {
		return f.parentError(err)
	}
	return f.withDirectory(func(e *entry) error {
		if err := e.file.Chmod(dirMode); err != nil { // whatever the umask
			return err
		}
		err := f.amend(e, func(a *attributes) error {
			*a = made
			return nil
		})
		if err != nil {
			return errors.Join(err, f.root.Remove(f.path))
		}
		if err := e.setTimes(t); err != nil {
			return err
		}
		return f.changed(e, http.StatusCreated)
	})
}

func (f *filesRequest) deleteDirectory(*entry) error {
	if f.path == "" {
		return &filesError{http.StatusConflict, "CannotDeleteFileOrDirectory", "The root directory of a share cannot be deleted."}
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
