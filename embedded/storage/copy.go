package storage

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/store"
)

// copied tells of the copy that a file came from.
type copied struct {
	ID        string    `json:"id,omitempty"`
	Source    string    `json:"source,omitempty"`
	Bytes     int64     `json:"bytes,omitempty"`
	Completed time.Time `json:"completed,omitzero"`
}

func (c copied) show(h http.Header) {
	if c.ID == "" {
		return
	}
	bytes := strconv.FormatInt(c.Bytes, 10)
	h.Set("x-ms-copy-id", c.ID)
	h.Set("x-ms-copy-source", c.Source)
	h.Set("x-ms-copy-status", "success")
	h.Set("x-ms-copy-progress", bytes+"/"+bytes)
	h.Set("x-ms-copy-completion-time", c.Completed.UTC().Format(http.TimeFormat))
}

var errCopySource = &filesError{http.StatusForbidden, "CannotVerifyCopySource",
	"The copy source is not a file of this cloud that the request, or a signature in the source, may read."}

// copyFile makes a file out of another one of this cloud. The copy is done when
// the answer is sent.
func (f *filesRequest) copyFile() error {
	metadata, err := f.metadata()
	if err != nil {
		return err
	}
	from, source, err := f.copySource()
	if err != nil {
		return err
	}
	defer from.root.Close()
	read, err := from.openFile(os.O_RDONLY)
	if err != nil {
		return err
	}
	defer read.close()
	if there, err := f.open(f.path, os.O_RDONLY); err == nil {
		same := os.SameFile(there.info, read.info)
		there.close()
		if same {
			return invalidHeader("x-ms-copy-source")
		}
	}
	with := attributes{Metadata: read.Metadata, Headers: read.Headers, FileAttributes: read.FileAttributes}
	if len(metadata) > 0 {
		with.Metadata = metadata
	}
	written, err := f.empty(with)
	if err != nil {
		return err
	}
	defer written.close()
	n, err := io.Copy(written.file, read.file)
	if err != nil {
		return err
	}
	err = f.amend(written, func(a *attributes) error {
		a.Copy = copied{ID: uuid.NewString(), Source: source, Bytes: n, Completed: time.Now().UTC().Truncate(time.Second)}
		return nil
	})
	if err != nil {
		return err
	}
	f.w.Header().Set("x-ms-copy-id", written.Copy.ID)
	f.w.Header().Set("x-ms-copy-status", "success")
	return f.changed(written, http.StatusAccepted)
}

// copySource returns the source of a copy as a request that may read it, with
// its share open, and its URL without a signature.
func (f *filesRequest) copySource() (*filesRequest, string, error) {
	u, err := url.Parse(f.Header.Get("x-ms-copy-source"))
	if err != nil || u.Host == "" {
		return nil, "", invalidHeader("x-ms-copy-source")
	}
	read := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}, RemoteAddr: f.RemoteAddr}
	from, err := f.service.parse(f.w, read)
	if err != nil || from.path == "" || !f.service.serves(u, f.Host, from.account.Name) {
		return nil, "", errCopySource
	}
	switch {
	case from.query.Has("sig"):
		from.grant, err = from.sharedAccess(from.query, time.Now())
	case f.grant.full && from.account.Name == f.account.Name:
		from.grant = f.grant
	default:
		err = errCopySource
	}
	if err == nil {
		err = from.grant.meets(from.need())
	}
	if err == nil {
		err = from.openShare()
	}
	if err != nil {
		return nil, "", err
	}
	u.RawQuery = ""
	return from, u.String(), nil
}

// serves says whether a URL is one under which an account is reached here: by
// the name that the request uses, the one that accounts are told to have, or
// the account's own at either port, which az builds from the suffix.
func (s *Service) serves(u *url.URL, host, account string) bool {
	hosts := []string{host}
	if own, err := url.Parse(s.filesURL(account, host)); err == nil {
		hosts = append(hosts, own.Host)
	}
	named := accountOfHost(u.Host) == account
	return slices.ContainsFunc(hosts, func(h string) bool {
		return strings.EqualFold(u.Host, h) || named && u.Port() == (&url.URL{Host: h}).Port()
	})
}

// abortCopy refuses: a copy is over when its client hears of it.
func (f *filesRequest) abortCopy(*entry) error {
	return &filesError{http.StatusConflict, "NoPendingCopyOperation", "There is currently no pending copy operation."}
}

// openShare opens the share's directory, which confines all that follows.
func (f *filesRequest) openShare() error {
	_, err := f.service.share(f.account.Name, f.share)
	if errors.Is(err, store.ErrNotFound) {
		return errShareNotFound
	}
	if err != nil {
		return err
	}
	f.root, err = os.OpenRoot(f.service.shareDir(f.account.Name, f.share))
	return err
}
