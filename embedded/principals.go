package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/identity"
)

// principalsPath is where the daemon is asked about principals.
const principalsPath = "/principals"

// The refusals of the daemon, for callers to tell apart. ErrRefused is what the
// others are not.
var (
	ErrRefused          = errors.New("the embedded cloud refuses")
	ErrUnknownPrincipal = identity.ErrUnknownPrincipal
	ErrPrincipalExists  = identity.ErrPrincipalExists
)

// principalRefusals are the statuses by which they travel.
var principalRefusals = map[int]error{
	http.StatusBadRequest: ErrRefused,
	http.StatusGone:       ErrUnknownPrincipal,
	http.StatusConflict:   ErrPrincipalExists,
}

// Principal is a user of the cloud.
type Principal struct {
	identity.Registered
	Roles []PrincipalRole `json:"roles"`
	// Secret is there only where the principal was just made: none is kept.
	Secret string `json:"clientSecret,omitempty"`
}

// PrincipalRole is a role that a principal has at a scope, an ARM id.
type PrincipalRole struct {
	Role  string `json:"role"`
	Scope string `json:"scope"`
}

// AddPrincipal makes a service principal. The role, unless it is empty, is one
// of Azure's built-in ones by name or id. The scope is an ARM id or the name
// of a resource group; empty means the subscription.
func AddPrincipal(ctx context.Context, o Options, name, role, scope string) (Principal, error) {
	var p Principal
	err := askPrincipals(ctx, o, http.MethodPut, name, url.Values{"role": {role}, "scope": {scope}}, &p)
	return p, err
}

// Principals returns the service principals, without secrets.
func Principals(ctx context.Context, o Options) ([]Principal, error) {
	var list []Principal
	return list, askPrincipals(ctx, o, http.MethodGet, "", nil, &list)
}

// RemovePrincipal removes a service principal with its roles.
func RemovePrincipal(ctx context.Context, o Options, name string) error {
	return askPrincipals(ctx, o, http.MethodDelete, name, nil, nil)
}

// askPrincipals asks the daemon, on the socket that only root can reach.
func askPrincipals(ctx context.Context, o Options, method, name string, query url.Values, answer any) error {
	if _, err := Stat(ctx, o); err != nil {
		return err
	}
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	response, err := askDaemon(ctx, o, method, principalsPath+"/"+url.PathEscape(name)+"?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("ask the embedded cloud about principals: %w", err)
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusServiceUnavailable:
		return errStopping
	case response.StatusCode >= http.StatusBadRequest:
		words, _ := io.ReadAll(io.LimitReader(response.Body, maxWords)) // what came of them
		if kind := principalRefusals[response.StatusCode]; kind != nil {
			return reported{string(bytes.TrimSpace(words)), kind}
		}
		return errOtherVersion
	case answer == nil:
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(answer); err != nil {
		return fmt.Errorf("read the embedded cloud's answer about principals: %w", err)
	}
	return nil
}

// answerPrincipals adds what the daemon answers about principals.
func (d *daemon) answerPrincipals(mux *http.ServeMux) {
	answer := func(do func(r *http.Request) (any, error)) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, err := do(r)
			if err != nil {
				http.Error(w, err.Error(), principalStatus(err))
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(body)
		}
	}
	mux.HandleFunc("GET "+principalsPath+"/{$}", answer(func(*http.Request) (any, error) { return d.principals() }))
	mux.HandleFunc("PUT "+principalsPath+"/{name}", answer(func(r *http.Request) (any, error) {
		query := r.URL.Query()
		return d.addPrincipal(r.PathValue("name"), query.Get("role"), query.Get("scope"))
	}))
	mux.HandleFunc("DELETE "+principalsPath+"/{name}", answer(func(r *http.Request) (any, error) {
		return nil, d.authority.Unregister(r.PathValue("name"))
	}))
}

func principalStatus(err error) int {
	for status, kind := range principalRefusals {
		if errors.Is(err, kind) {
			return status
		}
	}
	return http.StatusBadRequest
}

func (d *daemon) principals() ([]Principal, error) {
	registered, err := d.authority.Principals()
	if err != nil {
		return nil, err
	}
	list := []Principal{}
	for _, p := range registered {
		list = append(list, Principal{Registered: p, Roles: d.rolesOf(p)})
	}
	slices.SortFunc(list, func(a, b Principal) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (d *daemon) rolesOf(p identity.Registered) []PrincipalRole {
	roles := []PrincipalRole{}
	for _, ra := range d.authority.RoleAssignments() {
		if strings.EqualFold(ra.PrincipalID, p.ObjectID) {
			roles = append(roles, PrincipalRole{ra.Role.Name(), ra.Scope})
		}
	}
	return roles
}

// scope returns the ARM id that a scope means, of something that is there.
func (d *daemon) scope(scope string) (string, error) {
	subscription := "/subscriptions/" + d.settings.Subscription
	switch {
	case scope == "":
		return subscription, nil
	case !strings.HasPrefix(scope, "/"):
		scope = subscription + "/resourceGroups/" + scope
	}
	scope = strings.TrimRight(scope, "/")
	if !identity.Within(scope, subscription) {
		return "", fmt.Errorf("the scope %s is not in the subscription %s", scope, d.settings.Subscription)
	}
	parts := strings.Split(scope, "/") // "", subscriptions, ID, resourceGroups, NAME, ...
	switch {
	case len(parts) == 3:
		return scope, nil
	case len(parts) == 4 || !strings.EqualFold(parts[3], "resourceGroups"):
		return "", fmt.Errorf("the scope %s is no subscription, resource group or resource", scope)
	}
	return scope, d.arm.CheckResourceGroup(d.settings.Subscription, parts[4])
}

func roleNames() []string {
	var names []string
	for _, d := range identity.Roles() {
		names = append(names, d.Name)
	}
	return names
}

// addPrincipal makes a principal, with its role or not at all.
func (d *daemon) addPrincipal(name, role, scope string) (Principal, error) {
	definition, known := identity.Find(role)
	if role != "" && !known {
		return Principal{}, fmt.Errorf("there is no role %q; there are %s", role, strings.Join(roleNames(), ", "))
	}
	scope, err := d.scope(scope)
	if err != nil {
		return Principal{}, err
	}
	p, secret, err := d.authority.Register(name)
	if err != nil {
		return Principal{}, err
	}
	if role != "" {
		_, err = d.authority.Assign(identity.RoleAssignment{Scope: scope, Name: uuid.NewString(), Role: definition.Role,
			PrincipalID: p.ObjectID, PrincipalType: "ServicePrincipal"})
		if err != nil {
			return Principal{}, errors.Join(err, d.authority.Unregister(name))
		}
	}
	return Principal{Registered: p, Roles: d.rolesOf(p), Secret: secret}, nil
}
