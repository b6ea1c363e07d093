package storage

import (
	"net/http"
	"strings"
	"time"

	"frankenetes.dev/embedded/identity"
)

// Access knows bearer tokens and what their principals may do.
type Access interface {
	// VerifyFor returns the principal of a token for one of the audiences.
	VerifyFor(bearer string, audiences ...string) (identity.Principal, error)
	// Allowed says whether a principal may do an action at a scope, an ARM id.
	AllowedData(p identity.Principal, action, scope string) bool
}

// grant is what a request's credential allows.
type grant struct {
	// full is of an account key.
	full bool
	// kinds are the letters of what may be acted on: s(ervice), c(ontainer: a
	// share) and o(bject: a directory or file).
	kinds string
	// letters are the permissions: r(ead), w(rite), d(elete), l(ist), c(reate).
	letters string
	// headers replace those of a file that is read.
	headers map[string]string
}

var (
	errPermission = &filesError{http.StatusForbidden, "AuthorizationPermissionMismatch",
		"This request is not authorized to perform this operation using this permission."}
	errResourceType = &filesError{http.StatusForbidden, "AuthorizationResourceTypeMismatch",
		"This request is not authorized to perform this operation using this resource type."}
)

// overwrite says whether a file that is there may be replaced.
func (g grant) overwrite() error {
	if g.full || strings.Contains(g.letters, "w") {
		return nil
	}
	return errPermission
}

func (g grant) overrideHeaders(h http.Header) {
	for name, value := range g.headers {
		h.Set(name, value)
	}
}

// authenticate finds out what the request's credential allows: an account key
// that signed the request, a shared access signature, or a token.
func (f *filesRequest) authenticate(now time.Time) (grant, error) {
	authorization := f.Header.Get("Authorization")
	scheme, token, _ := strings.Cut(authorization, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return f.bearer(token)
	case authorization == "" && f.query.Has("sig"):
		return f.sharedAccess(f.query, now)
	case signedBy(f.Request, f.account, now):
		return grant{full: true}, nil
	}
	return grant{}, errAuthentication
}

// Actions of Azure's roles for the data of file shares with a token.
const (
	readData  = "Microsoft.Storage/storageAccounts/fileServices/readFileBackupSemantics/action"
	writeData = "Microsoft.Storage/storageAccounts/fileServices/writeFileBackupSemantics/action"
)

// storageAudience is whom tokens for the data of all accounts are for.
const storageAudience = "https://storage.azure.com"

// bearer returns what the principal of a token may do. Azure asks for the
// intent: such a token passes over the permissions of single files.
func (f *filesRequest) bearer(token string) (grant, error) {
	const intent = "x-ms-file-request-intent"
	if f.service.access == nil {
		return grant{}, errAuthentication
	}
	p, err := f.service.access.VerifyFor(token, storageAudience, "https://"+f.account.Name+".file.core.windows.net")
	if err != nil {
		f.w.Header().Set("WWW-Authenticate", "Bearer resource_id="+storageAudience)
		return grant{}, &filesError{http.StatusUnauthorized, "InvalidAuthenticationInfo",
			"Server failed to authenticate the request. Please refer to the information in the www-authenticate header."}
	}
	if f.Header.Get(intent) == "" {
		return grant{}, &filesError{http.StatusBadRequest, "MissingRequiredHeader", "The header " + intent + " is missing."}
	}
	if !strings.EqualFold(f.Header.Get(intent), "backup") {
		return grant{}, invalidHeader(intent)
	}
	g := grant{kinds: "sco"}
	if f.service.access.AllowedData(p, readData, f.account.ID) {
		g.letters += "rl"
	}
	if f.service.access.AllowedData(p, writeData, f.account.ID) {
		g.letters += "cwd"
	}
	return g, nil
}

// need is what an operation asks of a credential: a kind, and any one of some
// letters. Without letters, only an account key will do.
type need struct{ kind, letters string }

// need returns what the request asks for.
func (f *filesRequest) need() need {
	comp := f.query.Get("comp")
	n := need{kind: "o"}
	switch {
	case f.share == "":
		n.kind = "s"
	case f.aboutShare(), comp == "list":
		n.kind = "c"
	}
	switch {
	case f.aboutShare() && (comp == "acl" || comp == "filepermission"):
	case comp == "list":
		n.letters = "l"
	case comp == "listhandles":
		n.letters = "rl"
	case f.Method == http.MethodGet, f.Method == http.MethodHead:
		n.letters = "r"
	case f.Method == http.MethodDelete:
		n.letters = "d"
	case f.Method == http.MethodPut && comp == "":
		n.letters = "cw"
	case f.Method == http.MethodPut && comp == "lease":
		n.letters = "wd"
	case f.Method == http.MethodPut:
		n.letters = "w"
	}
	return n
}

// meets says whether a grant is enough.
func (g grant) meets(n need) error {
	switch {
	case g.full:
		return nil
	case !strings.Contains(g.kinds, n.kind):
		return errResourceType
	case !strings.ContainsAny(g.letters, n.letters):
		return errPermission
	}
	return nil
}
