// Package identity is the embedded cloud's Entra: it knows the principals,
// gives them tokens, verifies those tokens, and says what their bearers may
// do. It exists because nothing in the cloud listens without asking who you
// are, and because unmodified Azure clients will only sign in the Azure way.
package identity

import (
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"frankenetes.dev/embedded/store"
)

// Options are what an Authority needs.
type Options struct {
	Store *store.Store
	// Tenant and Subscription are the ids of the only ones there are.
	Tenant, Subscription string
	// Audiences are the names of this cloud's Resource Manager: a token for
	// any of them is good there. A slash at the end makes no difference.
	Audiences []string
	Log       *slog.Logger
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Authority knows principals, tokens and role assignments.
type Authority struct{}

// New opens the authority that the store keeps, making its key at first.
func New(opts Options) (*Authority, error) { return &Authority{}, nil }

// Principal is who a token speaks for.
type Principal struct {
	// ObjectID is what role assignments name; ClientID is what signs in.
	ObjectID, ClientID string
}

// Credential is what a service principal signs in with.
type Credential struct{ ClientID, Secret string }

// Operator returns the operator's service principal, which owns the
// subscription. Secret is set only by the call that creates it.
func (a *Authority) Operator() (Credential, error) { return Credential{}, nil }

// RotateSecret gives a service principal a new secret; the old one ends.
func (a *Authority) RotateSecret(clientID string) (string, error) { return "", nil }

// Verify returns the principal of a bearer token for the Resource Manager.
func (a *Authority) Verify(token string) (Principal, error) { return Principal{}, nil }

// Allowed says whether a principal may do an action at a scope (an ARM id).
func (a *Authority) Allowed(p Principal, action, scope string) bool { return false }

// UserAssigned is a user-assigned managed identity.
type UserAssigned struct {
	// ID is its ARM id, in the case in which it was created.
	ID       string            `json:"id"`
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags,omitempty"`
	// ClientID names it to clients, PrincipalID to role assignments.
	ClientID    string `json:"clientId"`
	PrincipalID string `json:"principalId"`
}

// UserAssigned returns the identity with an ARM id, in any case, or store.ErrNotFound.
func (a *Authority) UserAssigned(id string) (UserAssigned, error) { return UserAssigned{}, nil }

// Owns says whether a path is one of the authority's endpoints, so that one
// listener can serve both it and ARM.
func (a *Authority) Owns(path string) bool { return false }

// ServeHTTP answers the authority's endpoints: metadata, keys and tokens.
func (a *Authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {}

// Metadata returns the handler of the instance metadata endpoint. callers says
// which identities, by ARM id, the group at an address has, and whether there
// is such a group at all.
func (a *Authority) Metadata(callers func(remote netip.Addr) (identities []string, ok bool)) http.Handler {
	return nil
}
