package storage

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/store"
)

const (
	fileServiceType = accountType + "/fileServices"
	shareType       = fileServiceType + "/shares"
)

func (m *management) registerShares() {
	const service = "/subscriptions/{sub}/resourceGroups/{rg}/providers/Microsoft.Storage/storageAccounts/{account}/fileServices/default"
	const one = service + "/shares/{share}"
	h := m.server.Handle
	h(http.MethodGet, strings.TrimSuffix(service, "/default"), fileServiceType+"/read", m.listFileServices)
	h(http.MethodGet, service, fileServiceType+"/read", m.getFileService)
	h(http.MethodPut, service, fileServiceType+"/write", m.putFileService)
	h(http.MethodPut, one, shareType+"/write", m.putShare)
	h(http.MethodPatch, one, shareType+"/write", m.patchShare)
	h(http.MethodGet, one, shareType+"/read", m.getShare)
	h(http.MethodDelete, one, shareType+"/delete", m.deleteShare)
	h(http.MethodPost, one+"/lease", shareType+"/lease/action", m.leaseShare)
	h(http.MethodPost, one+"/restore", shareType+"/restore/action", m.restoreShare)
	h(http.MethodGet, service+"/shares", shareType+"/read", m.listShares)
}

// shareRequest is the body of PUT and PATCH.
type shareRequest struct {
	Properties struct {
		ShareQuota       *int              `json:"shareQuota"`
		AccessTier       string            `json:"accessTier"`
		EnabledProtocols string            `json:"enabledProtocols"`
		Metadata         map[string]string `json:"metadata"`
	} `json:"properties"`
}

// apply changes a share's record as the body asks.
func (body shareRequest) apply(sh *share) error {
	p := body.Properties
	if p.ShareQuota != nil {
		if *p.ShareQuota < 1 || *p.ShareQuota > maxQuotaGiB {
			return arm.BadRequest("InvalidRequestPropertyValue", "The share quota %d is not between 1 and %d.", *p.ShareQuota, maxQuotaGiB)
		}
		sh.QuotaGiB = *p.ShareQuota
	}
	if p.EnabledProtocols != "" && p.EnabledProtocols != "SMB" {
		return arm.BadRequest("FeatureNotSupported", "The protocol '%s' is not offered: shares speak SMB.", p.EnabledProtocols)
	}
	if p.AccessTier != "" {
		if !slices.Contains(accessTiers(), p.AccessTier) {
			return arm.BadRequest("InvalidRequestPropertyValue", "The access tier '%s' does not exist.", p.AccessTier)
		}
		sh.AccessTier = p.AccessTier
	}
	if p.Metadata != nil {
		sh.Metadata = p.Metadata
	}
	return nil
}

// shareBody is a share as ARM shows it.
type shareBody struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Etag       string         `json:"etag"`
	Properties map[string]any `json:"properties"`
}

func showShare(a account, sh share) shareBody {
	now := time.Now()
	properties := map[string]any{
		"shareQuota": sh.QuotaGiB, "accessTier": sh.AccessTier, "enabledProtocols": "SMB", "lastModifiedTime": sh.Modified,
		"leaseStatus": capital(sh.Lease.status(now)), "leaseState": capital(sh.Lease.state(now)),
	}
	if sh.Lease.state(now) == "leased" {
		properties["leaseDuration"] = capital(sh.Lease.duration())
	}
	if len(sh.Metadata) > 0 {
		properties["metadata"] = sh.Metadata
	}
	return shareBody{ID: a.ID + "/fileServices/default/shares/" + sh.Name, Name: sh.Name, Type: shareType,
		Etag: sh.etag(), Properties: properties}
}

// capital spells a word of the data plane as the Resource Manager does.
func capital(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

func shareNotFound(name string) *arm.Error {
	return &arm.Error{Status: http.StatusNotFound, Code: "ShareNotFound", Message: "The specified share '" + name + "' does not exist."}
}

func (m *management) putShare(_ context.Context, r *arm.Request) (*arm.Response, error) {
	if expand := r.Query("$expand"); strings.Contains(expand, "snapshots") {
		return nil, arm.BadRequest("FeatureNotSupported", "Snapshots of shares are not offered.")
	}
	if !validShareName(r.Var("share")) {
		return nil, arm.BadRequest("InvalidResourceName", "The share name '%s' is invalid: it must have 3 to 63 lower-case letters, digits "+
			"and single '-' between them.", r.Var("share"))
	}
	return m.saveShare(r, func(*share) error { return nil })
}

// patchShare changes a share that is there.
func (m *management) patchShare(_ context.Context, r *arm.Request) (*arm.Response, error) {
	return m.saveShare(r, func(sh *share) error {
		if sh.Modified.IsZero() {
			return shareNotFound(r.Var("share"))
		}
		return nil
	})
}

// saveShare applies the body to the share, unless check fails of it as it is.
func (m *management) saveShare(r *arm.Request, check func(*share) error) (*arm.Response, error) {
	var body shareRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	a, err := m.find(r)
	if err != nil {
		return nil, err
	}
	sh, existed, err := m.service.putShare(a.Name, r.Var("share"), func(sh *share) error {
		if err := check(sh); err != nil {
			return err
		}
		return body.apply(sh)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, arm.NotFound(accountType, a.Name, r.Var("rg"))
	}
	if err != nil {
		return nil, err
	}
	status := http.StatusCreated
	if existed {
		status = http.StatusOK
	}
	return &arm.Response{Status: status, Body: showShare(a, sh)}, nil
}

// findShare returns the share that a request is about, and its account.
func (m *management) findShare(r *arm.Request) (account, share, error) {
	a, err := m.find(r)
	if err != nil {
		return a, share{}, err
	}
	sh, err := m.service.share(a.Name, r.Var("share"))
	if errors.Is(err, store.ErrNotFound) {
		err = shareNotFound(r.Var("share"))
	}
	return a, sh, err
}

func (m *management) getShare(ctx context.Context, r *arm.Request) (*arm.Response, error) {
	a, sh, err := m.findShare(r)
	if err != nil {
		return nil, err
	}
	shown := showShare(a, sh)
	if strings.EqualFold(r.Query("$expand"), "stats") {
		if shown.Properties["shareUsageBytes"], err = m.service.usage(ctx, sh); err != nil {
			return nil, err
		}
	}
	return &arm.Response{Status: http.StatusOK, Body: shown}, nil
}

func (m *management) deleteShare(_ context.Context, r *arm.Request) (*arm.Response, error) {
	a, err := m.find(r)
	if err != nil {
		return nil, err
	}
	existed, err := m.service.deleteShare(a.Name, r.Var("share"), func(sh share) error {
		if sh.Lease.active(time.Now()) {
			return arm.Conflict("ContainerOperationFailure", "The share '%s' has a lease: end it first.", sh.Name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !existed {
		return &arm.Response{Status: http.StatusNoContent}, nil
	}
	return &arm.Response{Status: http.StatusOK}, nil
}
