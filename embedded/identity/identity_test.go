package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"encoding/json"

	"github.com/golang-jwt/jwt/v5"

	"frankenetes.dev/embedded/identity"
	"frankenetes.dev/embedded/store"
)

const (
	tenant       = "22222222-2222-4222-8222-222222222222"
	subscription = "11111111-1111-4111-8111-111111111111"
	audience     = "https://127.0.0.1:8443"
	group        = "/subscriptions/" + subscription + "/resourceGroups/g"
)

// fixture is an authority with a clock that stands still.
type fixture struct {
	*identity.Authority
	store    *store.Store
	now      time.Time
	operator identity.Credential
}

func start(t *testing.T) *fixture {
	t.Helper()
	s, err := store.Open(filepath.Join(t.TempDir(), "cloud.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	f := &fixture{store: s, now: time.Now()}
	f.reopen(t)
	if f.operator, err = f.Operator(); err != nil {
		t.Fatal(err)
	}
	return f
}

// reopen is what a new daemon does.
func (f *fixture) reopen(t *testing.T) {
	t.Helper()
	a, err := identity.New(identity.Options{Store: f.store, Tenant: tenant, Subscription: subscription,
		Audiences: []string{audience + "/"}, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Now: func() time.Time { return f.now }})
	if err != nil {
		t.Fatal(err)
	}
	f.Authority = a
}

// post sends a form to the authority and returns its JSON answer.
func (f *fixture) post(t *testing.T, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s answered %q", path, w.Body)
	}
	return w.Code, body
}

func (f *fixture) form() url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "client_id": {f.operator.ClientID}, "client_secret": {f.operator.Secret},
		"scope": {audience + "/.default openid offline_access profile"},
	}
}

// token signs the operator in.
func (f *fixture) token(t *testing.T) string {
	t.Helper()
	status, body := f.post(t, "/"+tenant+"/oauth2/v2.0/token", f.form())
	if status != http.StatusOK {
		t.Fatalf("sign in: %d %v", status, body)
	}
	return body["access_token"].(string)
}

func TestTheOperatorOwnsTheSubscription(t *testing.T) {
	f := start(t)
	p, err := f.Verify(f.token(t))
	if err != nil {
		t.Fatal(err)
	}
	if p.ClientID != f.operator.ClientID {
		t.Errorf("the token is of %v", p)
	}
	if !f.Allowed(p, "Microsoft.Authorization/roleAssignments/write", group) {
		t.Error("the operator may not assign roles")
	}
	if f.Allowed(p, "Microsoft.Resources/subscriptions/read", "/subscriptions/other") {
		t.Error("the operator may read another subscription")
	}
}

func TestSecretsAreToldOnceAndTokensOutliveTheDaemon(t *testing.T) {
	f := start(t)
	token := f.token(t)
	f.reopen(t)
	again, err := f.Operator()
	if err != nil || again.ClientID != f.operator.ClientID || again.Secret != "" {
		t.Errorf("the second start got %q with a secret of %d characters, %v", again.ClientID, len(again.Secret), err)
	}
	if _, err := f.Verify(token); err != nil {
		t.Errorf("a token from before: %v", err)
	}
	f.token(t)

	old := f.form()
	if f.operator.Secret, err = f.RotateSecret(f.operator.ClientID); err != nil {
		t.Fatal(err)
	}
	f.token(t)
	if status, body := f.post(t, "/"+tenant+"/oauth2/v2.0/token", old); status != http.StatusUnauthorized {
		t.Errorf("the secret from before: %d %v", status, body)
	}
	if _, err := f.RotateSecret("nobody"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a new secret for nobody: %v", err)
	}
}

func TestSecretsAreNotStored(t *testing.T) {
	f := start(t)
	for _, kind := range []string{"servicePrincipals", "operators", "roleAssignments"} {
		err := f.store.Each(kind, "", func(key string, value []byte) error {
			if strings.Contains(string(value), f.operator.Secret) {
				t.Errorf("%s %s has the secret", kind, key)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusedSignIns(t *testing.T) {
	f := start(t)
	const path = "/" + tenant + "/oauth2/v2.0/token"
	for _, test := range []struct {
		name, path string
		change     func(url.Values)
		status     int
		code, text string
	}{
		{"a wrong secret", path, func(v url.Values) { v.Set("client_secret", "x") }, 401, "invalid_client", "AADSTS7000215"},
		{"no secret", path, func(v url.Values) { v.Del("client_secret") }, 401, "invalid_client", "AADSTS7000216"},
		{"nobody", path, func(v url.Values) { v.Set("client_id", "x") }, 400, "unauthorized_client", "AADSTS700016"},
		{"no client", path, func(v url.Values) { v.Del("client_id") }, 400, "invalid_request", "AADSTS900144"},
		{"a password", path, func(v url.Values) { v.Set("grant_type", "password") }, 400, "unsupported_grant_type", "AADSTS70003"},
		{"no grant", path, func(v url.Values) { v.Del("grant_type") }, 400, "invalid_request", "AADSTS900144"},
		{"no scope", path, func(v url.Values) { v.Del("scope") }, 400, "invalid_scope", "AADSTS1002012"},
		{"a delegated scope", path, func(v url.Values) { v.Set("scope", audience+"/user") }, 400, "invalid_scope", "AADSTS1002012"},
		{"another tenant", "/common/oauth2/v2.0/token", func(url.Values) {}, 400, "invalid_tenant", "AADSTS90002"},
	} {
		t.Run(test.name, func(t *testing.T) {
			form := f.form()
			test.change(form)
			status, body := f.post(t, test.path, form)
			text, _ := body["error_description"].(string)
			if status != test.status || body["error"] != test.code || !strings.HasPrefix(text, test.text+":") {
				t.Errorf("got %d %v", status, body)
			}
		})
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET of the token endpoint: %d", w.Code)
	}
}

func TestTokensThatAreNotGoodHere(t *testing.T) {
	f := start(t)
	good := f.token(t)
	other := f.form()
	other.Set("scope", "https://storage.azure.com/.default")
	_, body := f.post(t, "/"+tenant+"/oauth2/v2.0/token", other)
	parts := strings.Split(good, ".")

	for name, token := range map[string]string{
		"for another audience":  body["access_token"].(string),
		"signed by a stranger":  forge(t, jwt.SigningMethodES256, strangerKey(t)),
		"not signed":            forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType),
		"signed with a word":    forge(t, jwt.SigningMethodHS256, []byte("word")),
		"with other claims":     parts[0] + "." + strings.Split(forge(t, jwt.SigningMethodES256, strangerKey(t)), ".")[1] + "." + parts[2],
		"without its signature": parts[0] + "." + parts[1] + ".",
		"of no form":            "hello",
		"empty":                 "",
	} {
		if p, err := f.Verify(token); err == nil || errors.Is(err, identity.ErrExpired) {
			t.Errorf("a token %s is of %v, %v", name, p, err)
		}
	}
	f.now = f.now.Add(identity.TokenLifetime - time.Second)
	if _, err := f.Verify(good); err != nil {
		t.Errorf("just before its end: %v", err)
	}
	f.now = f.now.Add(2 * time.Second)
	if _, err := f.Verify(good); !errors.Is(err, identity.ErrExpired) {
		t.Errorf("after its end: %v", err)
	}
}

func strangerKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// forge makes a token that says what a good one says.
func forge(t *testing.T, method jwt.SigningMethod, key any) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, jwt.MapClaims{
		"iss": "https://sts.windows.net/" + tenant + "/", "aud": audience, "tid": tenant, "oid": "someone", "appid": "someone",
		"exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestAnyoneCanVerifyATokenWithThePublishedKey(t *testing.T) {
	f := start(t)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+tenant+"/discovery/v2.0/keys", nil))
	var set struct {
		Keys []struct{ Kid, X, Y string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("keys: %s, %v", w.Body, err)
	}
	_, err := jwt.Parse(f.token(t), func(token *jwt.Token) (any, error) {
		if token.Header["kid"] != set.Keys[0].Kid {
			t.Errorf("the token is signed by key %v", token.Header["kid"])
		}
		return publicKey(t, set.Keys[0].X, set.Keys[0].Y), nil
	})
	if err != nil {
		t.Error(err)
	}
}
