// Package armtest starts the control plane of an embedded cloud for a test. It
// exists so that the tests of every resource provider speak to their handlers
// as users do: with Azure's own clients, over TLS, signed in.
package armtest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azarm "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/identity"
	"frankenetes.dev/embedded/identity/resources"
	"frankenetes.dev/embedded/store"
)

// The ids and the location of every test's cloud.
const (
	Subscription = "11111111-1111-4111-8111-111111111111"
	Tenant       = "22222222-2222-4222-8222-222222222222"
	Location     = "local"
)

// Cloud is a control plane that ends with its test.
type Cloud struct {
	// URL is the base URL of both ARM and the authority.
	URL       string
	Store     *store.Store
	Authority *identity.Authority
	ARM       *arm.Server
	// HTTP trusts the cloud's certificate.
	HTTP *http.Client
	// Operator is the credential of the subscription's owner.
	Operator identity.Credential
	Log      *slog.Logger
}

// Start starts a cloud; register adds a provider's routes before it serves.
func Start(t testing.TB, register ...func(*Cloud)) *Cloud {
	t.Helper()
	c := &Cloud{Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))}
	listener := httptest.NewUnstartedServer(http.HandlerFunc(c.serve))
	c.URL = "https://" + listener.Listener.Addr().String()

	var err error
	if c.Store, err = store.Open(filepath.Join(t.TempDir(), "cloud.db")); err != nil {
		t.Fatal(err)
	}
	c.Authority, err = identity.New(identity.Options{
		Store: c.Store, Tenant: Tenant, Subscription: Subscription, Audiences: []string{c.URL}, Log: c.Log,
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Operator, err = c.Authority.Operator(); err != nil {
		t.Fatal(err)
	}
	c.ARM = arm.New(arm.Options{
		Store: c.Store, Verifier: c.Authority, Subscription: Subscription, Tenant: Tenant, Location: Location, Log: c.Log,
	})
	resources.Register(c.ARM, c.Authority)
	for _, fn := range register {
		fn(c)
	}
	listener.StartTLS()
	c.HTTP = listener.Client()
	t.Cleanup(func() {
		listener.Close()
		c.ARM.Close()
		if err := c.Store.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// serve splits one listener between the authority and ARM.
func (c *Cloud) serve(w http.ResponseWriter, r *http.Request) {
	if c.Authority.Owns(r.URL.Path) {
		c.Authority.ServeHTTP(w, r)
		return
	}
	c.ARM.ServeHTTP(w, r)
}

// Configuration is what points Azure's clients at the cloud.
func (c *Cloud) Configuration() cloud.Configuration {
	return cloud.Configuration{
		ActiveDirectoryAuthorityHost: c.URL + "/",
		Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
			cloud.ResourceManager: {Endpoint: c.URL, Audience: c.URL},
		},
	}
}

// Options are those of every ARM client.
func (c *Cloud) Options() *azarm.ClientOptions {
	return &azarm.ClientOptions{ClientOptions: azcore.ClientOptions{Cloud: c.Configuration(), Transport: c.HTTP}}
}

// SignIn returns the credential of a service principal.
func (c *Cloud) SignIn(t testing.TB, credential identity.Credential) azcore.TokenCredential {
	t.Helper()
	cred, err := azidentity.NewClientSecretCredential(Tenant, credential.ClientID, credential.Secret,
		&azidentity.ClientSecretCredentialOptions{
			ClientOptions:            azcore.ClientOptions{Cloud: c.Configuration(), Transport: c.HTTP},
			DisableInstanceDiscovery: true,
		})
	if err != nil {
		t.Fatal(err)
	}
	return cred
}

// Owner returns the operator's credential.
func (c *Cloud) Owner(t testing.TB) azcore.TokenCredential { return c.SignIn(t, c.Operator) }

// Token is a bearer token, as a credential.
type Token string

// GetToken returns the token itself.
func (t Token) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: string(t), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// As returns the token that the instance metadata endpoint gives to a group
// that has the identity with an ARM id.
func (c *Cloud) As(t testing.TB, identity string) Token {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet,
		"/metadata/identity/oauth2/token?api-version=2018-02-01&resource="+url.QueryEscape(c.URL), nil)
	r.Header.Set("Metadata", "true")
	w := httptest.NewRecorder()
	c.Authority.Metadata(func(netip.Addr) ([]string, bool) { return []string{identity}, true }).ServeHTTP(w, r)
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(w.Body).Decode(&body); err != nil || body.AccessToken == "" {
		t.Fatalf("token of %s: status %d, %v", identity, w.Code, err)
	}
	return Token(body.AccessToken)
}

// Of returns a bearer token of a principal, as its sign-in would.
func (c *Cloud) Of(t testing.TB, p identity.Principal) Token {
	t.Helper()
	token, err := c.Authority.Token(p, c.URL)
	if err != nil {
		t.Fatal(err)
	}
	return Token(token)
}

// OwnerToken returns a bearer token of the operator.
func (c *Cloud) OwnerToken(t testing.TB) Token {
	t.Helper()
	token, err := c.Owner(t).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{c.URL + "/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	return Token(token.Token)
}

// Answer is what came back for a plain request.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Code returns the code of the error envelope, empty where there is none.
func (a Answer) Code() string {
	var body struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal([]byte(a.Body), &body) != nil || body.Error.Message == "" {
		return ""
	}
	return body.Error.Code
}

// Do sends a plain request to a path, with a bearer token unless it is empty.
func (c *Cloud) Do(t testing.TB, token Token, method, path, body string) Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+string(token))
	}
	response, err := c.HTTP.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{response.StatusCode, response.Header, string(data)}
}
