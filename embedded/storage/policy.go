package storage

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strings"

	"frankenetes.dev/embedded/store"
)

// maxPolicies is how many stored access policies a share may have.
const maxPolicies = 5

// identifiers is the body of a share's stored access policies.
type identifiers struct {
	XMLName xml.Name           `xml:"SignedIdentifiers"`
	List    []signedIdentifier `xml:"SignedIdentifier"`
}

// signedIdentifier is a policy that signatures name, so that they can be taken
// back without a new key.
type signedIdentifier struct {
	ID     string `xml:"Id" json:"id"`
	Policy policy `xml:"AccessPolicy" json:"policy"`
}

// storedPolicy returns the terms of a signature that names a stored policy. A
// term may stand in one of the two, not in both.
func (f *filesRequest) storedPolicy(id string, own policy) (policy, error) {
	sh, err := f.service.share(f.account.Name, f.share)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return policy{}, err
	}
	for _, stored := range sh.Policies {
		if stored.ID != id {
			continue
		}
		p := stored.Policy
		for _, term := range []struct {
			own    string
			stored *string
		}{{own.Start, &p.Start}, {own.Expiry, &p.Expiry}, {own.Permission, &p.Permission}} {
			if term.own != "" && *term.stored != "" {
				return policy{}, errAuthentication
			}
			*term.stored += term.own
		}
		return p, nil
	}
	return policy{}, errAuthentication
}

func (f *filesRequest) getPolicies() error {
	sh, err := f.findShare()
	if err != nil {
		return err
	}
	body, err := xml.Marshal(identifiers{List: sh.Policies})
	if err != nil {
		return err
	}
	f.shareHeaders(sh)
	writeXML(f.w, http.StatusOK, body)
	return nil
}

func (f *filesRequest) setPolicies() error {
	var body identifiers
	err := xml.NewDecoder(io.LimitReader(f.Body, 1<<20)).Decode(&body)
	if err != nil && !errors.Is(err, io.EOF) || len(body.List) > maxPolicies {
		return errInvalidXML
	}
	for i := range body.List {
		one := &body.List[i]
		p := &one.Policy
		p.Start, p.Expiry, p.Permission = strings.TrimSpace(p.Start), strings.TrimSpace(p.Expiry), strings.TrimSpace(p.Permission)
		_, start := sasTime(p.Start)
		_, expiry := sasTime(p.Expiry)
		if one.ID == "" || len(one.ID) > 64 || p.Start != "" && !start || p.Expiry != "" && !expiry || strings.Trim(p.Permission, "rcwdl") != "" {
			return errInvalidXML
		}
	}
	return f.changeShare(http.StatusOK, func(sh *share) error {
		sh.Policies = body.List
		return nil
	})
}

var errInvalidXML = &filesError{http.StatusBadRequest, "InvalidXmlDocument", "The specified XML is not syntactically or semantically valid."}
