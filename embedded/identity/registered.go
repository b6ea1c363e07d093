package identity

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/google/uuid"
)

// Registered is a service principal that the operator made by name: a user of
// the cloud beside the operator. On Azure the directory's own API makes them;
// it is not part of the Resource Manager, so here the operator's CLI does.
type Registered struct {
	Name     string `json:"name"`
	ClientID string `json:"clientId"`
	ObjectID string `json:"objectId"`
}

// Errors of Register and Unregister.
var (
	// ErrPrincipalName: the name is not one that a principal can have.
	ErrPrincipalName = errors.New("a principal's name has 1 to 64 letters, digits, '-', '_' and '.'")
	// ErrPrincipalExists: there is one of that name.
	ErrPrincipalExists = errors.New("there is a principal of that name")
	// ErrUnknownPrincipal: there is none of that name.
	ErrUnknownPrincipal = errors.New("there is no principal of that name")
)

var principalName = regexp.MustCompile(`^[A-Za-z0-9][-\w.]{0,63}$`)

// Register makes a service principal, which has no role yet, and returns its
// secret, of which only a hash is kept.
func (a *Authority) Register(name string) (Registered, string, error) {
	if !principalName.MatchString(name) {
		return Registered{}, "", fmt.Errorf("add principal %q: %w", name, ErrPrincipalName)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := a.byName(name); err == nil || !errors.Is(err, ErrUnknownPrincipal) {
		if err == nil {
			err = ErrPrincipalExists
		}
		return Registered{}, "", fmt.Errorf("add principal %s: %w", name, err)
	}
	secret, hash := newSecret()
	sp := servicePrincipal{ClientID: uuid.NewString(), ObjectID: uuid.NewString(), Name: name, SecretHash: hash}
	if err := a.store.Put(servicePrincipalKind, sp.ClientID, sp); err != nil {
		return Registered{}, "", fmt.Errorf("add principal %s: %w", name, err)
	}
	return Registered{name, sp.ClientID, sp.ObjectID}, secret, nil
}

// Principals returns the service principals, the operator's among them.
func (a *Authority) Principals() ([]Registered, error) {
	list := []Registered{}
	err := each(a.store, servicePrincipalKind, "", func(sp servicePrincipal) error {
		list = append(list, Registered{sp.Name, sp.ClientID, sp.ObjectID})
		return nil
	})
	return list, err
}

// byName returns the principal of a name, in any case.
func (a *Authority) byName(name string) (Registered, error) {
	list, err := a.Principals()
	if err != nil {
		return Registered{}, err
	}
	for _, p := range list {
		if strings.EqualFold(p.Name, name) {
			return p, nil
		}
	}
	return Registered{}, ErrUnknownPrincipal
}

// Unregister removes a service principal and its role assignments. The
// operator's cannot be removed. Tokens that it has are of no use from then on.
func (a *Authority) Unregister(name string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, err := a.byName(name)
	if err != nil {
		return fmt.Errorf("remove principal %s: %w", name, err)
	}
	var operator string
	if err := a.store.Get(operatorKind, operatorKey, &operator); ignoreNotFound(err) != nil {
		return fmt.Errorf("remove principal %s: %w", name, err)
	}
	if strings.EqualFold(p.ClientID, operator) {
		return fmt.Errorf("remove principal %s: it is the operator's, without which nobody could make another", name)
	}
	// First the way in, then the roles: a crash in between leaves no user.
	if err := ignoreNotFound(a.store.Delete(servicePrincipalKind, p.ClientID)); err != nil {
		return fmt.Errorf("remove principal %s: %w", name, err)
	}
	err = a.dropAssignments(func(ra RoleAssignment) bool { return strings.EqualFold(ra.PrincipalID, p.ObjectID) })
	if err != nil {
		return fmt.Errorf("remove principal %s: %w", name, err)
	}
	return nil
}
