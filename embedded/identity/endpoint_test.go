package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"frankenetes.dev/embedded/identity"
)

// publicKey reads the coordinates of a JSON web key.
func publicKey(t *testing.T, x, y string) *ecdsa.PublicKey {
	t.Helper()
	point := []byte{4}
	for _, text := range []string{x, y} {
		coordinate, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, coordinate...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestEveryFormOfTheEndpoints(t *testing.T) {
	f := start(t)
	for path, tokenPath := range map[string]string{
		"/" + tenant + "/v2.0/.well-known/openid-configuration":                  "/" + tenant + "/oauth2/v2.0/token",
		"/" + strings.ToUpper(tenant) + "/v2.0/.well-known/openid-configuration": "/" + strings.ToUpper(tenant) + "/oauth2/v2.0/token",
		"//" + tenant + "/v2.0/.well-known/openid-configuration":                 "/" + tenant + "/oauth2/v2.0/token",
		"/adfs/.well-known/openid-configuration":                                 "/adfs/oauth2/token",
		"/adfs/adfs/.well-known/openid-configuration":                            "/adfs/oauth2/token",
	} {
		t.Run(path, func(t *testing.T) {
			if !f.Owns(path) || !f.Owns(tokenPath) {
				t.Error("not owned by the authority")
			}
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.URL.Path, r.Host = path, "cloud.example:8443"
			f.ServeHTTP(w, r)
			var metadata struct {
				Issuer        string
				TokenEndpoint string `json:"token_endpoint"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &metadata); err != nil {
				t.Fatal(err)
			}
			if want := "https://cloud.example:8443" + tokenPath; metadata.TokenEndpoint != want {
				t.Errorf("the token endpoint is %s, not %s", metadata.TokenEndpoint, want)
			}
			if !strings.HasPrefix(metadata.Issuer, "https://cloud.example:8443/") {
				t.Errorf("the issuer is %s", metadata.Issuer)
			}
			for _, scope := range []string{audience + "/.default", audience + "//.default"} {
				form := f.form()
				form.Set("scope", scope)
				status, body := f.post(t, tokenPath, form)
				if status != http.StatusOK {
					t.Fatalf("sign in for %s: %d %v", scope, status, body)
				}
				if _, err := f.Verify(body["access_token"].(string)); err != nil {
					t.Errorf("token for %s: %v", scope, err)
				}
			}
		})
	}
	for _, path := range []string{"/", "/subscriptions", "/metadata/endpoints", "/metadata/identity/oauth2/token", "/" + tenant} {
		if f.Owns(path) {
			t.Errorf("%s is owned by the authority", path)
		}
	}
}

// metadata asks the instance metadata endpoint from an address.
func (f *fixture) metadata(from, query string, identities []string, change func(*http.Request)) (int, map[string]string) {
	r := httptest.NewRequest(http.MethodGet, "/metadata/identity/oauth2/token?api-version=2018-02-01&"+query, nil)
	r.RemoteAddr = from
	r.Header.Set("Metadata", "true")
	change(r)
	w := httptest.NewRecorder()
	f.Metadata(func(remote netip.Addr) ([]string, bool) {
		return identities, remote == netip.MustParseAddr("10.1.2.3")
	}).ServeHTTP(w, r)
	var body map[string]string
	if json.Unmarshal(w.Body.Bytes(), &body) != nil {
		return w.Code, nil
	}
	return w.Code, body
}

func TestAnIdentityOfAGroupsOwnGoesWithItsRoles(t *testing.T) {
	f := start(t)
	const id = group + "/providers/Microsoft.ContainerInstance/containerGroups/web"
	principal, where, err := f.AssignSystem(id)
	if err != nil || where != tenant {
		t.Fatal(where, err)
	}
	if again, _, err := f.AssignSystem(strings.ToUpper(id)); err != nil || again != principal {
		t.Errorf("asked for again it is %s, not %s: %v", again, principal, err)
	}
	_, err = f.Assign(identity.RoleAssignment{Scope: group, Name: "n", Role: identity.Reader, PrincipalID: principal})
	if err != nil {
		t.Fatal(err)
	}
	who := identity.Principal{ObjectID: principal}
	if !f.Allowed(who, "Microsoft.ContainerInstance/containerGroups/read", id) {
		t.Error("its role is of no use")
	}
	for range 2 {
		if err := f.UnassignSystem(id); err != nil {
			t.Fatal(err)
		}
	}
	if f.HasRole(who) {
		t.Error("its role outlives it")
	}
	if next, _, err := f.AssignSystem(id); err != nil || next == principal {
		t.Errorf("the next group of that name is the same principal: %v", err)
	}
}

func TestAGroupGetsTokensOfItsIdentities(t *testing.T) {
	f := start(t)
	one, _, err := f.PutUserAssigned(group+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/One", "local", nil)
	if err != nil {
		t.Fatal(err)
	}
	two, _, err := f.PutUserAssigned(group+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/two", "local", nil)
	if err != nil {
		t.Fatal(err)
	}
	both := []string{strings.ToLower(one.ID), two.ID}
	const own = group + "/providers/Microsoft.ContainerInstance/containerGroups/Web"
	ownPrincipal, _, err := f.AssignSystem(own)
	if err != nil {
		t.Fatal(err)
	}
	its, err := f.SystemAssigned(own)
	if err != nil || its.PrincipalID != ownPrincipal {
		t.Fatalf("the group's own identity is %+v, %v", its, err)
	}
	all := append([]string{strings.ToUpper(own)}, both...)
	const group, resource = "10.1.2.3:999", "resource=" + audience
	for _, test := range []struct {
		name, from, query string
		identities        []string
		change            func(*http.Request)
		want              string // client id, or error description
	}{
		{"its only one", group, resource, both[:1], nil, one.ClientID},
		{"by client id", group, resource + "&client_id=" + two.ClientID, both, nil, two.ClientID},
		{"by object id", group, resource + "&object_id=" + two.PrincipalID, both, nil, two.ClientID},
		{"by ARM id", group, resource + "&msi_res_id=" + url.QueryEscape(strings.ToUpper(two.ID)), both, nil, two.ClientID},
		{"its own among others", group, resource, all, nil, its.ClientID},
		{"another than its own", group, resource + "&client_id=" + one.ClientID, all, nil, one.ClientID},
		{"its own by object id", group, resource + "&object_id=" + ownPrincipal, all, nil, its.ClientID},
		{"which of two", group, resource, both, nil, "Multiple user assigned identities exist"},
		{"one that it has not", group, resource + "&client_id=" + two.ClientID, both[:1], nil, "Identity not found"},
		{"none", group, resource, nil, nil, "Identity not found"},
		{"one that is gone", group, resource, []string{"/subscriptions/x"}, nil, "Identity not found"},
		{"no resource", group, "", both[:1], nil, "Required query variable 'resource' is missing"},
		{"not a group", "10.1.2.4:999", resource, both[:1], nil, "No container group has this address"},
		{"no header", group, resource, both[:1], func(r *http.Request) { r.Header.Del("Metadata") }, "Required metadata header not specified"},
		{"forwarded", group, resource, both[:1], func(r *http.Request) { r.Header.Set("X-Forwarded-For", "10.1.2.3") }, "Forwarded requests"},
		{"mapped address", "[::ffff:10.1.2.3]:999", resource, both[:1], nil, one.ClientID},
	} {
		t.Run(test.name, func(t *testing.T) {
			change := test.change
			if change == nil {
				change = func(*http.Request) {}
			}
			status, body := f.metadata(test.from, test.query, test.identities, change)
			if status != http.StatusOK {
				if !strings.HasPrefix(body["error_description"], test.want) {
					t.Errorf("refused with %d %v", status, body)
				}
				return
			}
			p, err := f.Verify(body["access_token"])
			if err != nil || p.ClientID != test.want {
				t.Errorf("the token is of %v, %v", p, err)
			}
			var missing []string
			for _, name := range []string{"expires_in", "expires_on", "not_before", "resource", "token_type"} {
				if body[name] == "" {
					missing = append(missing, name)
				}
			}
			if missing != nil {
				t.Errorf("the answer lacks %v", missing)
			}
		})
	}
}

// inGroup sends the requests of a client to the metadata endpoint as a group
// with an address would.
type inGroup struct {
	handler http.Handler
	t       *testing.T
}

func (g inGroup) Do(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "169.254.169.254" {
		g.t.Errorf("the client asked %s", r.URL.Host)
	}
	r.RemoteAddr = "10.1.2.3:999"
	w := httptest.NewRecorder()
	g.handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestTheSDKFindsTheMetadataEndpoint(t *testing.T) {
	f := start(t)
	u, _, err := f.PutUserAssigned(group+"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one", "local", nil)
	if err != nil {
		t.Fatal(err)
	}
	handler := f.Metadata(func(netip.Addr) ([]string, bool) { return []string{u.ID}, true })
	cred, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
		ClientOptions: azcore.ClientOptions{Transport: inGroup{handler, t}}, ID: azidentity.ClientID(u.ClientID),
	})
	if err != nil {
		t.Fatal(err)
	}
	token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{audience + "/.default"}})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := f.Verify(token.Token); err != nil || p.ObjectID != u.PrincipalID {
		t.Errorf("the token is of %v, %v", p, err)
	}
	if left := token.ExpiresOn.Sub(f.now); left < 50*time.Minute || left > 61*time.Minute {
		t.Errorf("the token lasts %v", left)
	}
}
