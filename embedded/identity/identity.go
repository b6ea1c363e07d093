// Package identity is the embedded cloud's Entra: it knows the principals,
// gives them tokens, verifies those tokens, and says what their bearers may
// do. It exists because nothing in the cloud listens without asking who you
// are, and because unmodified Azure clients will only sign in the Azure way.
package identity

import (
	"crypto/ecdsa"
	"fmt"
	"log/slog"
	"strings"
	"sync"
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

// Authority knows principals, tokens and role assignments. It is safe for
// concurrent use.
type Authority struct {
	store        *store.Store
	tenant       string
	subscription string
	audiences    []string
	log          *slog.Logger
	now          func() time.Time

	// definitions are the roles that there are.
	definitions map[Role]Definition

	key   *ecdsa.PrivateKey
	keyID string

	// mu guards changes of principals and identities, and assignments.
	mu sync.RWMutex
	// assignments are all there are, by key: every request asks for them.
	assignments map[string]RoleAssignment
}

// New opens the authority that the store keeps, making its key at first.
func New(opts Options) (*Authority, error) {
	a := &Authority{
		store:        opts.Store,
		tenant:       strings.ToLower(opts.Tenant),
		subscription: opts.Subscription,
		log:          opts.Log,
		now:          opts.Now,
		definitions:  map[Role]Definition{},
	}
	for _, d := range Roles() {
		a.definitions[d.Role] = d
	}
	if a.now == nil {
		a.now = time.Now
	}
	for _, audience := range opts.Audiences {
		a.audiences = append(a.audiences, strings.TrimRight(audience, "/"))
	}
	if err := a.loadKey(); err != nil {
		return nil, fmt.Errorf("open identity authority: %w", err)
	}
	if err := a.loadAssignments(); err != nil {
		return nil, fmt.Errorf("open identity authority: %w", err)
	}
	return a, nil
}

// Tenant returns the tenant's id.
func (a *Authority) Tenant() string { return a.tenant }

// Audiences returns what a token for the Resource Manager may be asked for.
func (a *Authority) Audiences() []string { return a.audiences }

// Principal is who a token speaks for.
type Principal struct {
	// ObjectID is what role assignments name; ClientID is what signs in.
	ObjectID, ClientID string
}
