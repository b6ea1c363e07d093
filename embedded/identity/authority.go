package identity

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// adfs is the tenant of clients that think the authority is an AD FS server,
// which is how old clients are kept from asking Microsoft about it.
const adfs = "adfs"

// maxForm is the largest token request that is read, in bytes.
const maxForm = 64 << 10

// Owns says whether a path is one of the authority's endpoints, so that one
// listener can serve both it and ARM.
func (a *Authority) Owns(path string) bool {
	_, _, ok := endpoint(path)
	return ok
}

// endpoint returns the tenant that a path names and what it asks for.
func endpoint(path string) (tenant, what string, ok bool) {
	segments := strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
	tenant, rest, _ := strings.Cut(strings.Join(segments, "/"), "/")
	// AD FS clients say /adfs/adfs when their authority's path is /adfs.
	if strings.EqualFold(tenant, adfs) {
		tenant, rest = adfs, strings.TrimPrefix(rest, adfs+"/")
	}
	switch rest {
	case "v2.0/.well-known/openid-configuration", ".well-known/openid-configuration":
		return tenant, "configuration", true
	case "oauth2/v2.0/token", "oauth2/token":
		return tenant, "token", true
	case "discovery/v2.0/keys", "discovery/keys":
		return tenant, "keys", true
	}
	return "", "", false
}

// ServeHTTP answers the authority's endpoints: metadata, keys and tokens.
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tenant, what, ok := endpoint(r.URL.Path)
	if !ok {
		http.NotFound(w, r)
		return
	}
	if !strings.EqualFold(tenant, a.tenant) && tenant != adfs {
		refuse(w, http.StatusBadRequest, "invalid_tenant", "AADSTS90002: Tenant '%s' not found.", tenant)
		return
	}
	method := http.MethodGet
	if what == "token" {
		method = http.MethodPost
	}
	if r.Method != method {
		w.Header().Set("Allow", method)
		refuse(w, http.StatusMethodNotAllowed, "invalid_request", "AADSTS900561: The endpoint only accepts %s requests.", method)
		return
	}
	switch what {
	case "configuration":
		reply(w, http.StatusOK, configuration("https://"+r.Host+"/"+tenant, tenant))
	case "keys":
		a.serveKeys(w)
	case "token":
		a.serveToken(w, r)
	}
}

// configuration is the OpenID metadata of the authority with a base URL: the
// issuer must be of the host that the client asked.
func configuration(base, tenant string) map[string]any {
	version := "/v2.0"
	if tenant == adfs {
		version = ""
	}
	return map[string]any{
		"issuer":                                base + version,
		"authorization_endpoint":                base + "/oauth2" + version + "/authorize",
		"token_endpoint":                        base + "/oauth2" + version + "/token",
		"jwks_uri":                              base + "/discovery" + version + "/keys",
		"response_types_supported":              []string{"token"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post"},
	}
}

// serveKeys answers the public key by which anyone can verify a token.
func (a *Authority) serveKeys(w http.ResponseWriter) {
	point, err := a.key.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		a.log.Error("encode public key", "error", err)
		refuse(w, http.StatusInternalServerError, "server_error", "AADSTS90033: A transient error has occurred.")
		return
	}
	half := 1 + (len(point)-1)/2
	encode := base64.RawURLEncoding.EncodeToString
	reply(w, http.StatusOK, map[string]any{"keys": []map[string]string{{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": a.keyID,
		"x": encode(point[1:half]), "y": encode(point[half:]),
	}}})
}

// serveToken answers the client credentials grant.
func (a *Authority) serveToken(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request", "AADSTS900144: The request body is no form.")
		return
	}
	form := r.PostForm
	for _, name := range []string{"grant_type", "client_id"} {
		if form.Get(name) == "" {
			refuse(w, http.StatusBadRequest, "invalid_request",
				"AADSTS900144: The request body must contain the following parameter: '%s'.", name)
			return
		}
	}
	if grant := form.Get("grant_type"); grant != "client_credentials" {
		refuse(w, http.StatusBadRequest, "unsupported_grant_type", "AADSTS70003: The app requested an unsupported grant type '%s'.", grant)
		return
	}
	if form.Get("client_secret") == "" {
		refuse(w, http.StatusUnauthorized, "invalid_client", "AADSTS7000216: 'client_secret' is required for the 'client_credentials' grant type.")
		return
	}
	audience, ok := audienceOf(form)
	if !ok {
		refuse(w, http.StatusBadRequest, "invalid_scope", "AADSTS1002012: The provided value for scope %s is not valid. "+
			"Client credential flows must have a scope value with /.default suffixed to the resource identifier.", form.Get("scope"))
		return
	}
	a.grant(w, form.Get("client_id"), form.Get("client_secret"), audience)
}

// grant answers a token to who knows its secret.
func (a *Authority) grant(w http.ResponseWriter, clientID, secret, audience string) {
	principal, err := a.signIn(clientID, secret)
	switch {
	case errors.Is(err, errNoPrincipal):
		refuse(w, http.StatusBadRequest, "unauthorized_client",
			"AADSTS700016: Application with identifier '%s' was not found in the directory '%s'.", clientID, a.tenant)
		return
	case errors.Is(err, errBadSecret):
		a.log.Warn("sign in refused", "client", clientID)
		refuse(w, http.StatusUnauthorized, "invalid_client", "AADSTS7000215: Invalid client secret provided for app '%s'.", clientID)
		return
	}
	var t token
	if err == nil {
		t, err = a.sign(principal, audience, "")
	}
	if err != nil {
		a.log.Error("give token", "client", clientID, "error", err)
		refuse(w, http.StatusInternalServerError, "server_error", "AADSTS90033: A transient error has occurred.")
		return
	}
	seconds := int(TokenLifetime.Seconds()) - 1
	reply(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": t.signed,
	})
}

// audienceOf returns whom a token is for: the scope that ends in /.default (the
// first slash is the audience's own where there are two), or, as in the older
// endpoint, the resource.
func audienceOf(form url.Values) (string, bool) {
	for _, scope := range strings.Fields(form.Get("scope")) {
		if audience, ok := strings.CutSuffix(scope, "/.default"); ok && audience != "" {
			return audience, true
		}
	}
	resource := form.Get("resource")
	return resource, resource != ""
}

func reply(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		status, data = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(data) // a client that has gone needs no answer
}

// refuse answers an OAuth error in Entra's words.
func refuse(w http.ResponseWriter, status int, code, format string, args ...any) {
	reply(w, status, map[string]any{"error": code, "error_description": fmt.Sprintf(format, args...)})
}
