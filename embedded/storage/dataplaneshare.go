package storage

import (
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"frankenetes.dev/embedded/store"
)

// serveShare answers a request about a share itself.
func (f *filesRequest) serveShare() error {
	comp, write := f.query.Get("comp"), f.Method == http.MethodPut
	read := f.Method == http.MethodGet || f.Method == http.MethodHead
	switch {
	case comp == "" && write:
		return f.createShare()
	case comp == "" && f.Method == http.MethodDelete:
		return f.deleteShare()
	case read && (comp == "" || comp == "metadata" || comp == "properties"):
		return f.getShare()
	case comp == "metadata" && write:
		metadata, err := f.metadata()
		if err != nil {
			return err
		}
		return f.changeShare(http.StatusOK, func(sh *share) error {
			sh.Metadata = metadata
			return nil
		})
	case comp == "properties" && write:
		return f.changeShare(http.StatusOK, f.applyProperties)
	case comp == "acl" && write:
		return f.setPolicies()
	case comp == "acl" && read:
		return f.getPolicies()
	case comp == "lease" && write:
		return f.leaseShare()
	case comp == "stats" && read:
		return f.shareStatistics()
	}
	return f.unsupported()
}

// findShare returns the share that a request is about.
func (f *filesRequest) findShare() (share, error) {
	sh, err := f.service.share(f.account.Name, f.share)
	if errors.Is(err, store.ErrNotFound) {
		return sh, errShareNotFound
	}
	if err == nil {
		err = sh.Lease.check(f.Header, false)
	}
	return sh, err
}

func (f *filesRequest) getShare() error {
	sh, err := f.findShare()
	if err != nil {
		return err
	}
	f.shareHeaders(sh)
	f.w.WriteHeader(http.StatusOK)
	return nil
}

func (f *filesRequest) deleteShare() error {
	existed, err := f.service.deleteShare(f.account.Name, f.share, func(sh share) error { return sh.Lease.check(f.Header, true) })
	if err == nil && !existed {
		err = errShareNotFound
	}
	if err == nil {
		f.w.WriteHeader(http.StatusAccepted)
	}
	return err
}

// applyProperties sets the quota and the tier that the headers ask for.
func (f *filesRequest) applyProperties(sh *share) error {
	const quotaHeader, tierHeader = "x-ms-share-quota", "x-ms-access-tier"
	if quota := f.Header.Get(quotaHeader); quota != "" {
		n, err := strconv.Atoi(quota)
		if err != nil || n < 1 || n > maxQuotaGiB {
			return invalidHeader(quotaHeader)
		}
		sh.QuotaGiB = n
	}
	if tier := f.Header.Get(tierHeader); tier != "" {
		if !slices.Contains(accessTiers(), tier) {
			return invalidHeader(tierHeader)
		}
		sh.AccessTier = tier
	}
	if p := f.Header.Get("x-ms-enabled-protocols"); p != "" && p != "SMB" {
		return invalidHeader("x-ms-enabled-protocols")
	}
	return nil
}

func (f *filesRequest) createShare() error {
	if !validShareName(f.share) {
		return errInvalidName
	}
	metadata, err := f.metadata()
	if err != nil {
		return err
	}
	sh, _, err := f.service.putShare(f.account.Name, f.share, func(sh *share) error {
		if !sh.Modified.IsZero() {
			return &filesError{http.StatusConflict, "ShareAlreadyExists", "The specified share already exists."}
		}
		sh.Metadata = metadata
		return f.applyProperties(sh)
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

// amendShare changes the record of the share that a request is about.
func (f *filesRequest) amendShare(change func(*share) error) (share, error) {
	sh, _, err := f.service.putShare(f.account.Name, f.share, func(sh *share) error {
		if sh.Modified.IsZero() {
			return errShareNotFound
		}
		return change(sh)
	})
	if errors.Is(err, store.ErrNotFound) {
		err = errAuthentication // the account has just gone
	}
	return sh, err
}

// changeShare is amendShare with an answer.
func (f *filesRequest) changeShare(status int, change func(*share) error) error {
	sh, err := f.amendShare(func(sh *share) error {
		if err := sh.Lease.check(f.Header, false); err != nil {
			return err
		}
		return change(sh)
	})
	if err != nil {
		return err
	}
	f.shareHeaders(sh)
	f.w.WriteHeader(status)
	return nil
}

func (f *filesRequest) shareHeaders(sh share) {
	h := f.w.Header()
	h.Set("ETag", sh.etag())
	h.Set("Last-Modified", sh.Modified.UTC().Format(http.TimeFormat))
	h.Set("x-ms-share-quota", strconv.Itoa(sh.QuotaGiB))
	h.Set("x-ms-access-tier", sh.AccessTier)
	h.Set("x-ms-enabled-protocols", "SMB")
	sh.Lease.show(h)
	showMetadata(h, sh.Metadata)
}

// shareStatistics answers how much a share holds.
func (f *filesRequest) shareStatistics() error {
	sh, err := f.findShare()
	if err != nil {
		return err
	}
	used, err := f.service.usage(f.Context(), sh)
	if err != nil {
		return err
	}
	body, err := xml.Marshal(struct {
		XMLName         xml.Name `xml:"ShareStats"`
		ShareUsageBytes int64
	}{ShareUsageBytes: used})
	if err != nil {
		return err
	}
	f.shareHeaders(sh)
	writeXML(f.w, http.StatusOK, body)
	return nil
}
