package storage

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"frankenetes.dev/embedded/arm"
)

// sasVersion is the version of the service in signatures that are made here.
const sasVersion = "2024-08-04"

// sasRequest is the body of ListAccountSas and ListServiceSas.
type sasRequest struct {
	SignedServices, SignedResourceTypes, SignedPermission, SignedIP, SignedProtocol string
	SignedStart, SignedExpiry, SignedIdentifier                                     string
	CanonicalizedResource, SignedResource, KeyToSign                                string
	Rscc, Rscd, Rsce, Rscl, Rsct                                                    string
}

// query returns the parameters that both kinds of signatures have.
func (b sasRequest) query() url.Values {
	q := url.Values{"sv": {sasVersion}}
	for name, value := range map[string]string{
		"sp": b.SignedPermission, "st": b.SignedStart, "se": b.SignedExpiry, "sip": b.SignedIP, "spr": b.SignedProtocol,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// listAccountSAS makes a signature for the account.
func (m *management) listAccountSAS(_ context.Context, r *arm.Request) (*arm.Response, error) {
	return m.mint(r, "accountSasToken", func(a account, b sasRequest, q url.Values) (string, error) {
		if b.SignedServices == "" || b.SignedResourceTypes == "" || b.SignedPermission == "" || b.SignedExpiry == "" {
			return "", arm.BadRequest("InvalidValuesForRequestParameters",
				"The values for signedServices, signedResourceTypes, signedPermission and signedExpiry are required.")
		}
		q.Set("ss", b.SignedServices)
		q.Set("srt", b.SignedResourceTypes)
		return accountSASText(a.Name, q), nil
	})
}

// listServiceSAS makes a signature for a share or a file.
func (m *management) listServiceSAS(_ context.Context, r *arm.Request) (*arm.Response, error) {
	return m.mint(r, "serviceSasToken", func(a account, b sasRequest, q url.Values) (string, error) {
		name := strings.TrimRight(b.CanonicalizedResource, "/")
		if !strings.HasPrefix(name, "/file/"+a.Name+"/") || b.SignedResource != "s" && b.SignedResource != "f" {
			return "", arm.BadRequest("InvalidValuesForRequestParameters",
				"The canonicalizedResource must be /file/%s/ and a share, or a file of it, and the signedResource s or f.", a.Name)
		}
		if b.SignedIdentifier == "" && (b.SignedExpiry == "" || b.SignedPermission == "") {
			return "", arm.BadRequest("InvalidValuesForRequestParameters", "signedExpiry and signedPermission, or a signedIdentifier, are required.")
		}
		q.Set("sr", b.SignedResource)
		for parameter, value := range map[string]string{
			"si": b.SignedIdentifier, "rscc": b.Rscc, "rscd": b.Rscd, "rsce": b.Rsce, "rscl": b.Rscl, "rsct": b.Rsct,
		} {
			if value != "" {
				q.Set(parameter, value)
			}
		}
		return serviceSASText(name, q), nil
	})
}

// mint answers with a signature under a name; text says what it is over.
func (m *management) mint(r *arm.Request, name string, text func(account, sasRequest, url.Values) (string, error)) (*arm.Response, error) {
	var body sasRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	a, err := m.find(r)
	if err != nil {
		return nil, err
	}
	q := body.query()
	over, err := text(a, body, q)
	if err != nil {
		return nil, err
	}
	if body.KeyToSign == "" {
		body.KeyToSign = "key1"
	}
	for _, key := range a.Keys {
		if key.Name == body.KeyToSign {
			q.Set("sig", base64.StdEncoding.EncodeToString(key.sign(over)))
			return &arm.Response{Status: http.StatusOK, Body: map[string]string{name: q.Encode()}}, nil
		}
	}
	return nil, arm.BadRequest("InvalidValuesForRequestParameters", "The keyToSign '%s' is neither key1 nor key2.", body.KeyToSign)
}
