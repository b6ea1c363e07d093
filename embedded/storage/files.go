package storage

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

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
	// grant is what the request's credential allows.
	grant grant
	// root confines every file operation to the share.
	root *os.Root
}

// FilesHandler returns the Files data plane, with paths /{account}/{share}/{path}
// or, at hosts named {account}.file. and whatever follows, /{share}/{path}.
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

// serveFiles checks a request and answers it.
func (s *Service) serveFiles(w http.ResponseWriter, r *http.Request) error {
	f, err := s.parse(w, r)
	if err != nil {
		return err
	}
	if f.grant, err = f.authenticate(time.Now()); err != nil {
		return err
	}
	if r.Header.Get("x-ms-version") == "" {
		// Who has nothing but a link sends no headers.
		if !f.query.Has("sig") {
			return &filesError{http.StatusBadRequest, "MissingRequiredHeader", "The header x-ms-version is missing."}
		}
		w.Header().Set("x-ms-version", f.query.Get("sv"))
	}
	if err := f.grant.meets(f.need()); err != nil {
		return err
	}
	if f.query.Has("sharesnapshot") {
		return errNoSnapshots
	}
	switch {
	case f.share == "":
		return f.serveAccount()
	case f.aboutShare():
		return f.serveShare()
	default:
		return f.serveEntry()
	}
}

// parse finds out what a request is about. An account that does not exist is
// told like a wrong signature.
func (s *Service) parse(w http.ResponseWriter, r *http.Request) (*filesRequest, error) {
	f := &filesRequest{Request: r, service: s, w: w, query: r.URL.Query()}
	name := accountOfHost(r.Host)
	names, err := filesPath(r.URL, name == "")
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = names[0]
		names = names[1:]
	}
	f.share, f.path = names[0], strings.Join(names[1:], "/")
	f.account, err = s.account(name)
	if errors.Is(err, store.ErrNotFound) {
		err = errAuthentication
	}
	return f, err
}

// accountOfHost returns the account of a host such as
// {account}.file.localhost:8443; empty for one that names none.
func accountOfHost(host string) string {
	labels := strings.SplitN(host, ".", 3)
	if len(labels) < 3 || !strings.EqualFold(labels[1], "file") || !accountName.MatchString(strings.ToLower(labels[0])) {
		return ""
	}
	return strings.ToLower(labels[0])
}

// endpoint is the account's own URL, as the client reaches it.
func (f *filesRequest) endpoint() string {
	if accountOfHost(f.Host) != "" {
		return "https://" + f.Host + "/"
	}
	return "https://" + f.Host + "/" + f.account.Name + "/"
}

// aboutShare says whether a request is about a share itself.
func (f *filesRequest) aboutShare() bool {
	return f.share != "" && f.path == "" && f.query.Get("restype") == "share"
}

// maxDepth is how many names a path may have, as on Azure.
const maxDepth = 250

// filesPath splits [/{account}]/{share}/{path}; there is at least a share,
// empty where the URL has none. A slash may be encoded, as azfile does. Every
// segment of the path is a plain name that SMB would take.
func filesPath(u *url.URL, account bool) ([]string, error) {
	var names []string
	for _, name := range strings.Split(u.Path, "/") {
		if name == "" {
			continue
		}
		if name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "\x00\"\\/:|<>*?") {
			return nil, errInvalidName
		}
		names = append(names, name)
	}
	if len(names) > maxDepth {
		return nil, errInvalidName
	}
	least := 1
	if account {
		least = 2
	}
	for len(names) < least {
		names = append(names, "")
	}
	return names, nil
}

// checkNew says whether the last name of the request's path may be given to a
// new file or directory. One that a container gave can be read all the same.
func (f *filesRequest) checkNew() error {
	name := path.Base(f.path)
	control := strings.ContainsFunc(name, func(c rune) bool { return c < 0x20 || c == 0x7f })
	device := strings.ToUpper(name)
	reserved := []string{"CON", "PRN", "AUX", "NUL", "CLOCK$"}
	port := len(device) == 4 && (strings.HasPrefix(device, "COM") || strings.HasPrefix(device, "LPT")) && device[3] >= '1' && device[3] <= '9'
	if control || port || slices.Contains(reserved, device) || !utf8.ValidString(name) {
		return errInvalidName
	}
	return nil
}

// serveEntry answers a request about a directory or a file of a share.
func (f *filesRequest) serveEntry() error {
	if err := f.openShare(); err != nil {
		return err
	}
	defer f.root.Close()
	switch f.query.Get("comp") {
	case "listhandles":
		return f.listHandles()
	case "forceclosehandles":
		return f.closeHandles()
	}
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
