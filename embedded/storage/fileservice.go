package storage

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"frankenetes.dev/embedded/arm"
)

// fileServiceBody is the file service of an account as ARM shows it: there is
// one, and nothing of it can be set.
func fileServiceBody(a account) map[string]any {
	return map[string]any{
		"id": a.ID + "/fileServices/default", "name": "default", "type": fileServiceType,
		"sku": showSKU(a),
		"properties": map[string]any{
			"shareDeleteRetentionPolicy": map[string]any{"enabled": false},
			"cors":                       map[string]any{"corsRules": []any{}},
		},
	}
}

func (m *management) getFileService(_ context.Context, r *arm.Request) (*arm.Response, error) {
	a, err := m.find(r)
	if err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: fileServiceBody(a)}, nil
}

func (m *management) listFileServices(_ context.Context, r *arm.Request) (*arm.Response, error) {
	a, err := m.find(r)
	if err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: arm.List[map[string]any]{Value: []map[string]any{fileServiceBody(a)}}}, nil
}

// putFileService takes the settings that the service has, and refuses others
// rather than to forget them.
func (m *management) putFileService(ctx context.Context, r *arm.Request) (*arm.Response, error) {
	var body struct {
		Properties struct {
			Cors struct {
				Rules []any `json:"corsRules"`
			} `json:"cors"`
			Retention struct {
				Enabled bool `json:"enabled"`
			} `json:"shareDeleteRetentionPolicy"`
			Protocol struct {
				SMB map[string]any `json:"smb"`
			} `json:"protocolSettings"`
		} `json:"properties"`
	}
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	switch p := body.Properties; {
	case p.Retention.Enabled:
		return nil, arm.BadRequest("FeatureNotSupported", "The soft deletion of shares is not offered.")
	case len(p.Cors.Rules) > 0:
		return nil, arm.BadRequest("FeatureNotSupported", "Rules for requests of web pages (CORS) are not offered.")
	case len(p.Protocol.SMB) > 0:
		return nil, arm.BadRequest("FeatureNotSupported", "Settings of SMB are not offered: groups mount shares without it.")
	}
	return m.getFileService(ctx, r)
}

// restoreShare refuses: a share that is deleted is gone.
func (m *management) restoreShare(_ context.Context, r *arm.Request) (*arm.Response, error) {
	if _, err := m.find(r); err != nil {
		return nil, err
	}
	return nil, arm.BadRequest("FeatureNotSupported", "The soft deletion of shares is not offered: share '%s' cannot be restored.", r.Var("share"))
}

// leaseShare acts on the lease of a share, as the data plane does.
func (m *management) leaseShare(_ context.Context, r *arm.Request) (*arm.Response, error) {
	var body struct {
		Action          string `json:"action"`
		LeaseID         string `json:"leaseId"`
		BreakPeriod     *int   `json:"breakPeriod"`
		LeaseDuration   *int   `json:"leaseDuration"`
		ProposedLeaseID string `json:"proposedLeaseId"`
	}
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	a, _, err := m.findShare(r)
	if err != nil {
		return nil, err
	}
	h := http.Header{}
	h.Set("x-ms-lease-action", body.Action)
	h.Set("x-ms-lease-id", body.LeaseID)
	h.Set("x-ms-proposed-lease-id", body.ProposedLeaseID)
	for name, value := range map[string]*int{"x-ms-lease-break-period": body.BreakPeriod, "x-ms-lease-duration": body.LeaseDuration} {
		if value != nil {
			h.Set(name, strconv.Itoa(*value))
		}
	}
	var left time.Duration
	sh, _, err := m.service.putShare(a.Name, r.Var("share"), func(sh *share) (err error) {
		if sh.Modified.IsZero() {
			return shareNotFound(r.Var("share"))
		}
		_, left, err = sh.Lease.act(h, true, time.Now())
		return armError(err)
	})
	if err != nil {
		return nil, err
	}
	answer := map[string]any{"leaseId": sh.Lease.ID}
	if body.Action == "Break" || body.Action == "break" {
		answer["leaseTimeSeconds"] = strconv.Itoa(int(left.Round(time.Second) / time.Second))
	}
	return &arm.Response{Status: http.StatusOK, Body: answer}, nil
}

// armError tells a failure of the data plane as the Resource Manager does.
func armError(err error) error {
	if e, ok := err.(*filesError); ok {
		return &arm.Error{Status: e.status, Code: e.code, Message: e.message}
	}
	return err
}
