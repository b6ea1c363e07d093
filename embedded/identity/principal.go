package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/store"
)

// The kinds of records of this package.
const (
	servicePrincipalKind = "servicePrincipals"
	operatorKind         = "operators"
)

// operatorKey is the key of the record that says who the operator is.
const operatorKey = "operator"

// Credential is what a service principal signs in with.
type Credential struct {
	ClientID string
	Secret   string
}

// servicePrincipal is the record of one, under its client id. The secret has
// 256 random bits, so that a plain hash of it cannot be turned back.
type servicePrincipal struct {
	ClientID   string `json:"clientId"`
	ObjectID   string `json:"objectId"`
	Name       string `json:"name"`
	SecretHash []byte `json:"secretHash"`
}

func newSecret() (secret string, hash []byte) {
	random := make([]byte, 32)
	rand.Read(random)                   // never fails: crypto/rand ends the program instead
	secret = hex.EncodeToString(random) // no sign at its start that a command line takes for a flag
	sum := sha256.Sum256([]byte(secret))
	return secret, sum[:]
}

// Operator returns the operator's service principal, which owns the
// subscription. The first call creates it, and that call alone returns its
// secret; RotateSecret makes a new one.
func (a *Authority) Operator() (Credential, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var clientID string
	err := a.store.Get(operatorKind, operatorKey, &clientID)
	if !errors.Is(err, store.ErrNotFound) {
		return Credential{ClientID: clientID}, err
	}
	secret, hash := newSecret()
	sp := servicePrincipal{ClientID: uuid.NewString(), ObjectID: uuid.NewString(), Name: "operator", SecretHash: hash}
	if err := a.store.Put(servicePrincipalKind, sp.ClientID, sp); err != nil {
		return Credential{}, fmt.Errorf("create operator: %w", err)
	}
	_, err = a.assign(RoleAssignment{
		Scope: "/subscriptions/" + a.subscription, Name: uuid.NewString(), Role: Owner,
		PrincipalID: sp.ObjectID, PrincipalType: "ServicePrincipal",
	})
	if err != nil {
		return Credential{}, fmt.Errorf("create operator: %w", err)
	}
	// Written last: an operator that is known is complete.
	if err := a.store.Put(operatorKind, operatorKey, sp.ClientID); err != nil {
		return Credential{}, fmt.Errorf("create operator: %w", err)
	}
	return Credential{ClientID: sp.ClientID, Secret: secret}, nil
}

// RotateSecret gives a service principal a new secret and returns it. The old
// one ends at once; tokens that it was given last until they expire.
func (a *Authority) RotateSecret(clientID string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var sp servicePrincipal
	if err := a.store.Get(servicePrincipalKind, strings.ToLower(clientID), &sp); err != nil {
		return "", fmt.Errorf("rotate secret of %s: %w", clientID, err)
	}
	secret, hash := newSecret()
	sp.SecretHash = hash
	if err := a.store.Put(servicePrincipalKind, sp.ClientID, sp); err != nil {
		return "", fmt.Errorf("rotate secret of %s: %w", clientID, err)
	}
	return secret, nil
}

// Reasons why a principal cannot sign in.
var (
	errNoPrincipal = errors.New("no such service principal")
	errBadSecret   = errors.New("wrong client secret")
)

// signIn returns the service principal of a client id and secret.
func (a *Authority) signIn(clientID, secret string) (Principal, error) {
	var sp servicePrincipal
	err := a.store.Get(servicePrincipalKind, strings.ToLower(clientID), &sp)
	if errors.Is(err, store.ErrNotFound) {
		return Principal{}, errNoPrincipal
	}
	if err != nil {
		return Principal{}, fmt.Errorf("sign in %s: %w", clientID, err)
	}
	sum := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(sum[:], sp.SecretHash) != 1 {
		return Principal{}, errBadSecret
	}
	return Principal{ObjectID: sp.ObjectID, ClientID: sp.ClientID}, nil
}

// principalExists says whether an object id belongs to anyone.
func (a *Authority) principalExists(objectID string) (bool, error) {
	found := errors.New("found")
	err := each(a.store, servicePrincipalKind, "", func(sp servicePrincipal) error {
		if strings.EqualFold(sp.ObjectID, objectID) {
			return found
		}
		return nil
	})
	if err == nil {
		err = each(a.store, userAssignedKind, "", func(u UserAssigned) error {
			if strings.EqualFold(u.PrincipalID, objectID) {
				return found
			}
			return nil
		})
	}
	if err == nil {
		err = each(a.store, systemAssignedKind, "", func(s SystemAssigned) error {
			if strings.EqualFold(s.PrincipalID, objectID) {
				return found
			}
			return nil
		})
	}
	if err == found {
		return true, nil
	}
	return false, err
}
