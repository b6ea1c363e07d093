package storage

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/store"
)

const accountType = "Microsoft.Storage/storageAccounts"

func (m *management) registerAccounts() {
	const provider = "/providers/Microsoft.Storage"
	const group = "/subscriptions/{sub}/resourceGroups/{rg}" + provider + "/storageAccounts"
	const one = group + "/{account}"
	h := m.server.Handle
	h(http.MethodPut, one, accountType+"/write", m.putAccount)
	h(http.MethodPatch, one, accountType+"/write", m.patchAccount)
	h(http.MethodGet, one, accountType+"/read", m.getAccount)
	h(http.MethodDelete, one, accountType+"/delete", m.deleteAccount)
	h(http.MethodGet, group, accountType+"/read", m.listAccounts)
	h(http.MethodGet, "/subscriptions/{sub}"+provider+"/storageAccounts", "", m.listAccounts)
	h(http.MethodPost, one+"/listKeys", accountType+"/listkeys/action", m.listKeys)
	h(http.MethodPost, one+"/regenerateKey", accountType+"/regeneratekey/action", m.regenerateKey)
	h(http.MethodPost, one+"/ListAccountSas", accountType+"/listAccountSas/action", m.listAccountSAS)
	h(http.MethodPost, one+"/ListServiceSas", accountType+"/listServiceSas/action", m.listServiceSAS)
	h(http.MethodPost, "/subscriptions/{sub}"+provider+"/checkNameAvailability", "", m.checkName)
}

// accountRequest is the body of PUT and PATCH.
type accountRequest struct {
	Location string `json:"location"`
	Kind     string `json:"kind"`
	SKU      struct {
		Name string `json:"name"`
	} `json:"sku"`
	Tags *map[string]string `json:"tags"`
}

// find returns the account that a request is about, or 404.
func (m *management) find(r *arm.Request) (account, error) {
	a, err := m.service.account(strings.ToLower(r.Var("account")))
	if errors.Is(err, store.ErrNotFound) || err == nil && !m.inGroup(a, r) {
		return a, arm.NotFound(accountType, r.Var("account"), r.Var("rg"))
	}
	return a, err
}

// inGroup says whether an account is in the resource group of a request.
func (m *management) inGroup(a account, r *arm.Request) bool {
	return strings.EqualFold(a.ID, m.id(r))
}

func (m *management) id(r *arm.Request) string {
	return "/subscriptions/" + r.Var("sub") + "/resourceGroups/" + r.Var("rg") + "/providers/" + accountType + "/" + r.Var("account")
}

func (m *management) putAccount(_ context.Context, r *arm.Request) (*arm.Response, error) {
	var body accountRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	name := r.Var("account")
	if err := body.check(name); err != nil {
		return nil, err
	}
	m.service.mu.Lock()
	defer m.service.mu.Unlock()
	a, err := m.service.account(name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		a = account{ID: m.id(r), Name: name, Location: m.server.Location(body.Location), Created: time.Now().UTC(),
			Keys: []accountKey{newKey("key1"), newKey("key2")}}
	case err != nil:
		return nil, err
	case !m.inGroup(a, r):
		return nil, arm.Conflict("StorageAccountAlreadyTaken", "The storage account named %s is already taken.", name)
	}
	if location := m.server.Location(body.Location); location != a.Location {
		return nil, arm.Conflict("InvalidResourceLocation", "The resource '%s' already exists in location '%s'.", name, a.Location)
	}
	a.Tags = nil
	return m.save(r, a, body)
}

// check returns what is wrong with the body of a PUT.
func (body accountRequest) check(name string) error {
	switch {
	case !accountName.MatchString(name):
		return arm.BadRequest("AccountNameInvalid", "%s is not a valid storage account name. Storage account name must be between 3 and 24 "+
			"characters in length and use numbers and lower-case letters only.", name)
	case body.Location == "":
		return arm.BadRequest("LocationRequired", "The location property is required for this definition.")
	case body.SKU.Name == "":
		return arm.BadRequest("InvalidRequestPropertyValue", "The value for property 'sku.name' is missing.")
	case body.Kind == "":
		return arm.BadRequest("InvalidRequestPropertyValue", "The value for property 'kind' is missing.")
	}
	return body.checkNames()
}

// checkNames returns an error for a SKU or a kind that does not exist.
func (body accountRequest) checkNames() error {
	skus := []string{"Standard_LRS", "Standard_GRS", "Standard_RAGRS", "Standard_ZRS", "Premium_LRS", "Premium_ZRS", "Standard_GZRS", "Standard_RAGZRS"}
	if name := body.SKU.Name; name != "" && !slices.Contains(skus, name) {
		return arm.BadRequest("InvalidRequestPropertyValue", "The value '%s' is not allowed for property sku.name.", name)
	}
	kinds := []string{"Storage", "StorageV2", "BlobStorage", "FileStorage", "BlockBlobStorage"}
	if body.Kind != "" && !slices.Contains(kinds, body.Kind) {
		return arm.BadRequest("InvalidRequestPropertyValue", "The value '%s' is not allowed for property kind.", body.Kind)
	}
	return nil
}

func (m *management) patchAccount(_ context.Context, r *arm.Request) (*arm.Response, error) {
	var body accountRequest
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	if err := body.checkNames(); err != nil {
		return nil, err
	}
	m.service.mu.Lock()
	defer m.service.mu.Unlock()
	a, err := m.find(r)
	if err != nil {
		return nil, err
	}
	return m.save(r, a, body)
}

// save applies what a body has to an account and stores it.
func (m *management) save(r *arm.Request, a account, body accountRequest) (*arm.Response, error) {
	if body.Tags != nil {
		if err := arm.CheckTags(*body.Tags); err != nil {
			return nil, err
		}
		a.Tags = *body.Tags
	}
	if body.SKU.Name != "" {
		a.SKU = body.SKU.Name
	}
	if body.Kind != "" {
		a.Kind = body.Kind
	}
	if err := m.service.putAccount(a); err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: m.show(r, a)}, nil
}

func (m *management) getAccount(_ context.Context, r *arm.Request) (*arm.Response, error) {
	a, err := m.find(r)
	if err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: m.show(r, a)}, nil
}

func (m *management) deleteAccount(_ context.Context, r *arm.Request) (*arm.Response, error) {
	a, err := m.find(r)
	var missing *arm.Error
	if errors.As(err, &missing) {
		return &arm.Response{Status: http.StatusNoContent}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := m.service.deleteAccount(a); err != nil {
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK}, nil
}

// listAccounts lists those of a group or of the subscription that the
// principal may read.
func (m *management) listAccounts(_ context.Context, r *arm.Request) (*arm.Response, error) {
	scope := "/subscriptions/" + r.Var("sub")
	if rg := r.Var("rg"); rg != "" {
		scope += "/resourceGroups/" + rg
	}
	accounts, err := m.service.accountsUnder(scope)
	if err != nil {
		return nil, err
	}
	list := arm.List[accountBody]{Value: []accountBody{}}
	for _, a := range accounts {
		if m.server.Allowed(r.Principal, accountType+"/read", a.ID) {
			list.Value = append(list.Value, m.show(r, a))
		}
	}
	return &arm.Response{Status: http.StatusOK, Body: list}, nil
}
