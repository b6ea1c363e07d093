package storage

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"frankenetes.dev/embedded/identity"
)

// accountKind is the kind of the records of accounts, under their names, which
// are unique across the cloud.
const accountKind = "storageAccounts"

// account is the record of a storage account.
type account struct {
	// ID is the ARM id, in the case in which it was created.
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Location string            `json:"location"`
	SKU      string            `json:"sku"`
	Kind     string            `json:"kind"`
	Tags     map[string]string `json:"tags,omitempty"`
	Created  time.Time         `json:"created"`
	Keys     []accountKey      `json:"keys"`
}

// accountKey is one of an account's two keys: whoever has one may do anything
// with the account's data.
type accountKey struct {
	Name    string    `json:"name"`
	Value   string    `json:"value"`
	Created time.Time `json:"created"`
}

var accountName = regexp.MustCompile(`^[a-z0-9]{3,24}$`)

func newKey(name string) accountKey {
	random := make([]byte, 64)
	rand.Read(random) // never fails: crypto/rand ends the program instead
	return accountKey{Name: name, Value: base64.StdEncoding.EncodeToString(random), Created: time.Now().UTC()}
}

// hasKey says whether a string is one of the account's keys.
func (a account) hasKey(key string) bool {
	for _, own := range a.Keys {
		if subtle.ConstantTimeCompare([]byte(own.Value), []byte(key)) == 1 {
			return true
		}
	}
	return false
}

// account returns the account with a name, or store.ErrNotFound.
func (s *Service) account(name string) (account, error) {
	var a account
	err := s.store.Get(accountKind, name, &a)
	return a, err
}

func (s *Service) putAccount(a account) error { return s.store.Put(accountKind, a.Name, a) }

// accountsUnder returns the accounts below a scope, by name.
func (s *Service) accountsUnder(scope string) ([]account, error) {
	var list []account
	err := s.store.Each(accountKind, "", func(key string, value []byte) error {
		var a account
		if err := json.Unmarshal(value, &a); err != nil {
			return fmt.Errorf("read storage account %s: %w", key, err)
		}
		if identity.Within(a.ID, scope) {
			list = append(list, a)
		}
		return nil
	})
	return list, err
}

// deleteAccount removes an account and its shares.
func (s *Service) deleteAccount(a account) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	shares, err := s.shares(a.Name)
	if err != nil {
		return err
	}
	for _, sh := range shares {
		if err := s.store.Delete(shareKind, sh.key()); err != nil {
			return err
		}
	}
	if err := s.store.Delete(accountKind, a.Name); err != nil {
		return err
	}
	return s.discard(filepath.Join(s.dir, a.Name))
}
