package identity

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"frankenetes.dev/embedded/store"
)

// Metadata returns the handler of the instance metadata endpoint, by which a
// container group gets tokens of its identities. callers says which
// identities, by ARM id, the group at an address has, and whether there is
// such a group at all.
func (a *Authority) Metadata(callers func(remote netip.Addr) (identities []string, ok bool)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(strings.TrimSuffix(r.URL.Path, "/"), "/metadata/identity/oauth2/token") {
			refuse(w, http.StatusNotFound, "not_found", "There is nothing at this path.")
			return
		}
		if r.Method != http.MethodGet {
			refuse(w, http.StatusMethodNotAllowed, "method_not_allowed", "Only GET is allowed.")
			return
		}
		// Both keep a program that fetches any URL for others from fetching
		// tokens for them.
		if !strings.EqualFold(r.Header.Get("Metadata"), "true") {
			refuse(w, http.StatusBadRequest, "invalid_request", "Required metadata header not specified")
			return
		}
		if r.Header.Get("X-Forwarded-For") != "" {
			refuse(w, http.StatusBadRequest, "invalid_request", "Forwarded requests are not allowed")
			return
		}
		remote, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			refuse(w, http.StatusForbidden, "unauthorized_client", "No container group has this address")
			return
		}
		identities, ok := callers(remote.Addr().Unmap())
		if !ok {
			refuse(w, http.StatusForbidden, "unauthorized_client", "No container group has this address")
			return
		}
		a.serveMetadata(w, r.URL.Query(), identities)
	})
}

// serveMetadata answers a token for one of a group's identities.
func (a *Authority) serveMetadata(w http.ResponseWriter, query url.Values, identities []string) {
	if query.Get("api-version") == "" {
		refuse(w, http.StatusBadRequest, "invalid_request", "Required query variable 'api-version' is missing")
		return
	}
	resource := query.Get("resource")
	if resource == "" {
		refuse(w, http.StatusBadRequest, "invalid_request", "Required query variable 'resource' is missing")
		return
	}
	identity, err := a.selectIdentity(query, identities)
	var t token
	if err == nil {
		t, err = a.sign(identity.Principal, resource, identity.resource)
	}
	switch {
	case errors.Is(err, errNoIdentity):
		refuse(w, http.StatusBadRequest, "invalid_request", "Identity not found")
		return
	case errors.Is(err, errManyIdentities):
		refuse(w, http.StatusBadRequest, "invalid_request", "Multiple user assigned identities exist, "+
			"please specify the clientId / resourceId of the identity in the token request")
		return
	case err != nil:
		a.log.Error("give token of identity", "error", err)
		refuse(w, http.StatusInternalServerError, "server_error", "Failed to retrieve token")
		return
	}
	reply(w, http.StatusOK, map[string]string{
		"access_token":  t.signed,
		"client_id":     identity.ClientID,
		"refresh_token": "",
		"expires_in":    strconv.Itoa(int(TokenLifetime.Seconds()) - 1),
		"expires_on":    strconv.FormatInt(t.ends.Unix(), 10),
		"not_before":    strconv.FormatInt(t.issued.Unix(), 10),
		"resource":      resource,
		"token_type":    "Bearer",
	})
}

var (
	errNoIdentity     = errors.New("no such identity")
	errManyIdentities = errors.New("more than one identity")
)

// selectIdentity returns the identity that a query names among those of a
// group. Without a name it is the group's own where it has one, or else the
// only one.
func (a *Authority) selectIdentity(query url.Values, identities []string) (managed, error) {
	named := hasSelector(query)
	var found []managed
	for _, id := range identities {
		m, err := a.managed(id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return managed{}, fmt.Errorf("select identity: %w", err)
		}
		if m.system && !named {
			return m, nil
		}
		if selects(query, m) {
			found = append(found, m)
		}
	}
	switch {
	case len(found) == 0:
		return managed{}, errNoIdentity
	case len(found) > 1 && !named:
		return managed{}, errManyIdentities
	}
	return found[0], nil
}

// selectors are the query's parameters that may name an identity, with what
// they name it by.
func selectors(m managed) map[string]string {
	return map[string]string{"client_id": m.ClientID, "object_id": m.ObjectID, "principal_id": m.ObjectID,
		"msi_res_id": m.resource, "mi_res_id": m.resource}
}

func hasSelector(query url.Values) bool {
	for name := range selectors(managed{}) {
		if query.Has(name) {
			return true
		}
	}
	return false
}

// selects says whether all that a query says fits an identity.
func selects(query url.Values, m managed) bool {
	for name, value := range selectors(m) {
		if query.Has(name) && !strings.EqualFold(query.Get(name), value) {
			return false
		}
	}
	return true
}
