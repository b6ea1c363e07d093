package storage

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// sharedAccess returns what the shared access signature in a query allows: one
// of the account (ss, srt) or of a share or a file (sr).
func (f *filesRequest) sharedAccess(q url.Values, now time.Time) (grant, error) {
	if q.Has("skoid") {
		return grant{}, &filesError{http.StatusForbidden, "AuthenticationFailed",
			"Signatures by user delegation are not offered: sign with an account key."}
	}
	text, g := accountSASText(f.account.Name, q), grant{kinds: q.Get("srt")}
	if !q.Has("ss") {
		text, g = f.serviceSAS(q)
	}
	if text == "" || !signed(f.account, text, q.Get("sig")) {
		return grant{}, errAuthentication
	}
	terms := policy{q.Get("st"), q.Get("se"), q.Get("sp")}
	if id := q.Get("si"); id != "" && !q.Has("ss") {
		var err error
		if terms, err = f.storedPolicy(id, terms); err != nil {
			return grant{}, err
		}
	}
	if !terms.covers(now) {
		return grant{}, &filesError{http.StatusForbidden, "AuthenticationFailed", "Signature not valid in the specified time frame."}
	}
	if q.Has("ss") && !strings.Contains(q.Get("ss"), "f") {
		return grant{}, &filesError{http.StatusForbidden, "AuthorizationServiceMismatch",
			"This request is not authorized to perform this operation using this service."}
	}
	if err := f.fromWhere(q); err != nil {
		return grant{}, err
	}
	g.letters = terms.Permission
	return g, nil
}

// accountSASText returns what a signature for an account is over.
func accountSASText(account string, q url.Values) string {
	lines := []string{account, q.Get("sp"), q.Get("ss"), q.Get("srt"), q.Get("st"), q.Get("se"), q.Get("sip"), q.Get("spr"), q.Get("sv")}
	if q.Get("sv") >= "2020-12-06" { // from then on with an encryption scope
		lines = append(lines, q.Get("ses"))
	}
	return strings.Join(append(lines, ""), "\n")
}

// serviceSASText returns what a signature for a share or a file is over; its
// name is such as /file/account/share.
func serviceSASText(name string, q url.Values) string {
	lines := []string{q.Get("sp"), q.Get("st"), q.Get("se"), name, q.Get("si"), q.Get("sip"), q.Get("spr"), q.Get("sv")}
	for _, o := range sasOverrides() {
		lines = append(lines, q.Get(o.parameter))
	}
	return strings.Join(lines, "\n")
}

// sasOverrides are the parameters that replace headers of a file's answer.
func sasOverrides() []struct{ parameter, header string } {
	return []struct{ parameter, header string }{
		{"rscc", "Cache-Control"}, {"rscd", "Content-Disposition"}, {"rsce", "Content-Encoding"},
		{"rscl", "Content-Language"}, {"rsct", "Content-Type"},
	}
}

// serviceSAS returns what a signature for a share or one of its files is over,
// and what it allows. It names the request's share and file: for another, it is
// wrong.
func (f *filesRequest) serviceSAS(q url.Values) (string, grant) {
	if f.share == "" || q.Get("sv") < "2015-04-05" { // signed otherwise before
		return "", grant{}
	}
	name, g := "/file/"+f.account.Name+"/"+f.share, grant{headers: map[string]string{}}
	switch q.Get("sr") {
	case "s":
		// Not the share itself: that is for keys, and signatures of the account.
		if g.kinds = "o"; !f.aboutShare() {
			g.kinds = "co"
		}
	case "f":
		name, g.kinds = name+"/"+f.path, "o"
	default:
		return "", grant{}
	}
	for _, o := range sasOverrides() {
		if q.Has(o.parameter) {
			g.headers[o.header] = q.Get(o.parameter)
		}
	}
	return serviceSASText(name, q), g
}

// signed says whether a signature over a text is of one of an account's keys.
func signed(a account, text, signature string) bool {
	given, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return false
	}
	for _, key := range a.Keys {
		if hmac.Equal(key.sign(text), given) {
			return true
		}
	}
	return false
}

// sign returns the key's signature over a text, nothing for what is no key.
func (k accountKey) sign(text string) []byte {
	secret, err := base64.StdEncoding.DecodeString(k.Value)
	if err != nil || len(secret) == 0 {
		return nil
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// fromWhere checks that the request comes from an address and by a protocol
// that the signature allows. This service speaks HTTPS alone.
func (f *filesRequest) fromWhere(q url.Values) error {
	if p := q.Get("spr"); p != "" && p != "https" && p != "https,http" {
		return errAuthentication
	}
	allowed := q.Get("sip")
	if allowed == "" {
		return nil
	}
	mismatch := &filesError{http.StatusForbidden, "AuthorizationSourceIPMismatch",
		"This request is not authorized to perform this operation using this source IP."}
	host, _, err := net.SplitHostPort(f.RemoteAddr)
	if err != nil {
		return mismatch
	}
	from, err := netip.ParseAddr(host)
	if err != nil {
		return mismatch
	}
	first, last, ranged := strings.Cut(allowed, "-")
	if !ranged {
		last = first
	}
	low, err1 := netip.ParseAddr(first)
	high, err2 := netip.ParseAddr(last)
	from = from.Unmap()
	if err1 != nil || err2 != nil || from.Less(low) || high.Less(from) {
		return mismatch
	}
	return nil
}

// policy is from when to when something is allowed, and what: in the words of
// the signature, since they are what is signed.
type policy struct {
	Start      string `xml:",omitempty" json:"start,omitempty"`
	Expiry     string `xml:",omitempty" json:"expiry,omitempty"`
	Permission string `xml:",omitempty" json:"permission,omitempty"`
}

// covers says whether a time is within the policy, which must have an end.
func (p policy) covers(now time.Time) bool {
	end, ok := sasTime(p.Expiry)
	if !ok || !now.Before(end) {
		return false
	}
	start, ok := sasTime(p.Start)
	return p.Start == "" || ok && !now.Before(start)
}

// sasTime reads a time in the forms that signatures have.
func sasTime(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
