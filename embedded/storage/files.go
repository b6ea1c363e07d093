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

	"github.com/google/uuid"

	"frankenetes.dev/embedded/store"
)

// filesRequest is one authenticated request to the Files data plane.
type filesRequest struct {
	*http.Request
	service *Service
	w       http.ResponseWriter
	account account
	// share is empty for a request about the account; path, slash separated,
	// is empty for one about the share or its root directory.
	share, path string
	query       url.Values
	// root confines every file operation to the share.
	root *os.Root
}

// FilesHandler returns the Files data plane, with paths /{account}/{share}/{path}.
// Put it straight behind a listener: a mux would clean the paths that are signed.
func (s *Service) FilesHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := uuid.NewString()
		w.Header().Set("x-ms-request-id", id)
		w.Header().Set("x-ms-version", r.Header.Get("x-ms-version"))
		if client := r.Header.Get("x-ms-client-request-id"); client != "" {
			w.Header().Set("x-ms-client-request-id", client)
		}
		err := s.serveFiles(w, r)
		if err != nil {
			e := filesErrorOf(err)
			if e.status >= http.StatusInternalServerError {
				s.log.Error("files request failed", "method", r.Method, "path", r.URL.Path, "request", id, "error", err)
			}
			e.write(w, r)
		}
		s.log.Debug("files request", "method", r.Method, "path", r.URL.Path, "request", id, "error", err)
	})
}

// serveFiles checks a request and finds out what it is about.
func (s *Service) serveFiles(w http.ResponseWriter, r *http.Request) error {
	f := &filesRequest{Request: r, service: s, w: w, query: r.URL.Query()}
	name, share, path, err := splitFilesPath(r.URL)
	if err != nil {
		return err
	}
	f.account, err = s.account(name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err != nil || !signedBy(r, f.account, time.Now()) {
		return errAuthentication
	}
	if r.Header.Get("x-ms-version") == "" {
		return &filesError{http.StatusBadRequest, "MissingRequiredHeader", "The header x-ms-version is missing."}
	}
	for name := range r.Header {
		// Kept nowhere, so refused rather than lost.
		if strings.HasPrefix(strings.ToLower(name), "x-ms-meta-") && !f.aboutShare(share, path) {
			return &filesError{http.StatusBadRequest, "UnsupportedHeader", "Metadata of files and directories are not offered."}
		}
	}
	f.share, f.path = share, path
	switch {
	case share == "":
		return f.serveAccount()
	case f.aboutShare(share, path):
		return f.serveShare()
	default:
		return f.serveEntry()
	}
}

// aboutShare says whether a request is about a share itself.
func (f *filesRequest) aboutShare(share, path string) bool {
	return share != "" && path == "" && f.query.Get("restype") == "share"
}

// splitFilesPath splits /{account}/{share}/{path}. A slash may be encoded, as
// azfile does. Every segment of the path is a plain name.
func splitFilesPath(u *url.URL) (account, share, path string, err error) {
	var names []string
	for _, name := range strings.Split(u.Path, "/") {
		if name == "" {
			continue
		}
		if name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "\x00\"\\/:|<>*?") {
			return "", "", "", errInvalidName
		}
		names = append(names, name)
	}
	names = append(names, "", "")
	if len(names) > 2 {
		account, names = names[0], names[1:]
	}
	return account, names[0], strings.Trim(strings.Join(names[1:], "/"), "/"), nil
}

// serveEntry answers a request about a directory or a file of a share.
func (f *filesRequest) serveEntry() error {
	if _, err := f.service.share(f.account.Name, f.share); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return errShareNotFound
		}
		return err
	}
	root, err := os.OpenRoot(f.service.shareDir(f.account.Name, f.share))
	if err != nil {
		return err
	}
	defer root.Close()
	f.root = root
	if f.query.Get("comp") == "rename" && f.Method == http.MethodPut {
		return f.rename()
	}
	if f.query.Get("restype") == "directory" {
		return f.serveDirectory()
	}
	if f.path == "" {
		return &filesError{http.StatusBadRequest, "InvalidUri", "The request names neither a file nor a directory."}
	}
	return f.serveFile()
}

// stat returns what a path is. Only directories and regular files exist for
// the data plane: a container may have made devices, pipes and links, and to
// open those would act on this machine.
func (f *filesRequest) stat(path string) (fs.FileInfo, error) {
	info, err := f.root.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return nil, errResourceNotFound
	}
	return info, nil
}

// parentError says which of the two is missing when a path cannot be created.
func (f *filesRequest) parentError(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return errParentNotFound
	}
	return err
}

// unsupported answers an operation that the service does not have.
func (f *filesRequest) unsupported() error {
	if comp := f.query.Get("comp"); comp != "" {
		return &filesError{http.StatusNotImplemented, "NotImplemented", "The operation comp=" + comp + " is not offered."}
	}
	return &filesError{http.StatusMethodNotAllowed, "UnsupportedHttpVerb", "The resource doesn't support the HTTP verb " + f.Method + "."}
}
