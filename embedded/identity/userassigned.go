package identity

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/store"
)

const userAssignedKind = "userAssignedIdentities"

// UserAssigned is a user-assigned managed identity: a principal without a
// secret, whose tokens the instance metadata endpoint gives to the container
// groups that have it.
type UserAssigned struct {
	// ID is its ARM id, in the case in which it was created.
	ID       string            `json:"id"`
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags,omitempty"`
	// ClientID names it to clients, PrincipalID to role assignments.
	ClientID    string `json:"clientId"`
	PrincipalID string `json:"principalId"`
}

// UserAssigned returns the identity with an ARM id, in any case, or
// store.ErrNotFound.
func (a *Authority) UserAssigned(id string) (UserAssigned, error) {
	var u UserAssigned
	err := a.store.Get(userAssignedKind, strings.ToLower(id), &u)
	return u, err
}

// PutUserAssigned creates an identity, whose principal is new then, or changes
// its tags. It says whether the identity was there before.
func (a *Authority) PutUserAssigned(id, location string, tags map[string]string) (u UserAssigned, existed bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u, err = a.UserAssigned(id)
	if ignoreNotFound(err) != nil {
		return u, false, err
	}
	existed = err == nil
	if !existed {
		u = UserAssigned{ID: id, Location: location, ClientID: uuid.NewString(), PrincipalID: uuid.NewString()}
	}
	u.Tags = maps.Clone(tags)
	return u, existed, a.store.Put(userAssignedKind, strings.ToLower(id), u)
}

// DeleteUserAssigned deletes an identity and its role assignments, and says
// whether there was one.
func (a *Authority) DeleteUserAssigned(id string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u, err := a.UserAssigned(id)
	if err != nil {
		return false, ignoreNotFound(err)
	}
	err = a.dropAssignments(func(ra RoleAssignment) bool { return ra.PrincipalID == u.PrincipalID })
	if err != nil {
		return true, fmt.Errorf("delete identity %s: %w", id, err)
	}
	return true, a.store.Delete(userAssignedKind, strings.ToLower(id))
}

// UserAssignedUnder returns the identities at and below a scope, by id.
func (a *Authority) UserAssignedUnder(scope string) ([]UserAssigned, error) {
	list := []UserAssigned{}
	err := each(a.store, userAssignedKind, strings.ToLower(scope)+"/", func(u UserAssigned) error {
		list = append(list, u)
		return nil
	})
	return list, err
}

// each calls fn for the records of a kind whose keys have a prefix.
func each[T any](s *store.Store, kind, prefix string, fn func(T) error) error {
	return s.Each(kind, prefix, func(key string, value []byte) error {
		var record T
		if err := json.Unmarshal(value, &record); err != nil {
			return fmt.Errorf("read %s %s: %w", kind, key, err)
		}
		return fn(record)
	})
}
