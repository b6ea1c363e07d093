package storage

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"frankenetes.dev/embedded/store"
)

// shareList is the body of a list of shares.
type shareList struct {
	XMLName         xml.Name     `xml:"EnumerationResults"`
	ServiceEndpoint string       `xml:"ServiceEndpoint,attr"`
	Prefix          string       `xml:"Prefix"`
	Shares          []shareEntry `xml:"Shares>Share"`
	NextMarker      string       `xml:"NextMarker"`
}

type shareEntry struct {
	Name         string
	LastModified string `xml:"Properties>Last-Modified"`
	Etag         string `xml:"Properties>Etag"`
	Quota        int    `xml:"Properties>Quota"`
}

// serveAccount answers a request about the account: only the list of shares.
func (f *filesRequest) serveAccount() error {
	if f.Method != http.MethodGet || f.query.Get("comp") != "list" {
		return f.unsupported()
	}
	shares, err := f.service.shares(f.account.Name)
	if err != nil {
		return err
	}
	list := shareList{ServiceEndpoint: f.service.filesURL(f.account.Name), Prefix: f.query.Get("prefix")}
	for _, sh := range shares {
		if strings.HasPrefix(sh.Name, list.Prefix) {
			list.Shares = append(list.Shares, shareEntry{sh.Name, sh.Modified.UTC().Format(http.TimeFormat), sh.etag(), sh.QuotaGiB})
		}
	}
	body, err := xml.Marshal(list)
	if err != nil {
		return err
	}
	writeXML(f.w, http.StatusOK, body)
	return nil
}

// serveShare answers a request about a share itself.
func (f *filesRequest) serveShare() error {
	if f.query.Get("comp") != "" {
		return f.unsupported()
	}
	switch f.Method {
	case http.MethodPut:
		return f.createShare()
	case http.MethodDelete:
		existed, err := f.service.deleteShare(f.account.Name, f.share)
		if err == nil && !existed {
			err = errShareNotFound
		}
		if err == nil {
			f.w.WriteHeader(http.StatusAccepted)
		}
		return err
	case http.MethodGet, http.MethodHead:
		sh, err := f.service.share(f.account.Name, f.share)
		if errors.Is(err, store.ErrNotFound) {
			return errShareNotFound
		}
		if err != nil {
			return err
		}
		f.shareHeaders(sh)
		f.w.WriteHeader(http.StatusOK)
		return nil
	}
	return f.unsupported()
}

func (f *filesRequest) createShare() error {
	if !validShareName(f.share) {
		return errInvalidName
	}
	sh, _, err := f.service.putShare(f.account.Name, f.share, func(sh *share) error {
		if !sh.Modified.IsZero() {
			return &filesError{http.StatusConflict, "ShareAlreadyExists", "The specified share already exists."}
		}
		if quota := f.Header.Get("x-ms-share-quota"); quota != "" {
			n, err := strconv.Atoi(quota)
			if err != nil || n < 1 || n > maxQuotaGiB {
				return invalidHeader("x-ms-share-quota")
			}
			sh.QuotaGiB = n
		}
		sh.Metadata = f.metadata()
		return nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return errAuthentication // the account has just gone
	}
	if err != nil {
		return err
	}
	f.shareHeaders(sh)
	f.w.WriteHeader(http.StatusCreated)
	return nil
}

// metadata returns the request's x-ms-meta- headers.
func (f *filesRequest) metadata() map[string]string {
	metadata := map[string]string{}
	for name, values := range f.Header {
		if key, ok := strings.CutPrefix(strings.ToLower(name), "x-ms-meta-"); ok {
			metadata[key] = strings.Join(values, ",")
		}
	}
	return metadata
}

func (f *filesRequest) shareHeaders(sh share) {
	h := f.w.Header()
	h.Set("ETag", sh.etag())
	h.Set("Last-Modified", sh.Modified.UTC().Format(http.TimeFormat))
	h.Set("x-ms-share-quota", strconv.Itoa(sh.QuotaGiB))
	h.Set("x-ms-access-tier", sh.AccessTier)
	for name, value := range sh.Metadata {
		h.Set("x-ms-meta-"+name, value)
	}
	h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
}
