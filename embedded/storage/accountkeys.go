package storage

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/store"
)

// accountBody is an account as ARM shows it: without its keys.
type accountBody struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location"`
	Kind       string            `json:"kind"`
	SKU        map[string]string `json:"sku"`
	Tags       map[string]string `json:"tags"`
	Properties map[string]any    `json:"properties"`
}

// show returns an account as the client of a request sees it: a container group
// reaches the data plane under another name than this machine does.
func (m *management) show(r *arm.Request, a account) accountBody {
	tags := a.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return accountBody{
		ID: a.ID, Name: a.Name, Type: accountType, Location: a.Location, Kind: a.Kind,
		SKU: showSKU(a), Tags: tags,
		Properties: map[string]any{
			"provisioningState":        "Succeeded",
			"creationTime":             a.Created,
			"primaryLocation":          a.Location,
			"statusOfPrimary":          "available",
			"supportsHttpsTrafficOnly": true,
			"minimumTlsVersion":        "TLS1_2",
			"keyCreationTime":          map[string]time.Time{"key1": a.keyCreated("key1"), "key2": a.keyCreated("key2")},
			"primaryEndpoints":         map[string]string{"file": m.service.filesURL(a.Name, r.Host)},
		},
	}
}

func showSKU(a account) map[string]string {
	tier := "Standard"
	if strings.HasPrefix(a.SKU, "Premium") {
		tier = "Premium"
	}
	return map[string]string{"name": a.SKU, "tier": tier}
}

// keyCreated returns when the key of a name was made.
func (a account) keyCreated(name string) time.Time {
	for _, k := range a.Keys {
		if k.Name == name {
			return k.Created
		}
	}
	return time.Time{}
}

// keyBody is a key as listKeys shows it.
type keyBody struct {
	KeyName      string    `json:"keyName"`
	Value        string    `json:"value"`
	Permissions  string    `json:"permissions"`
	CreationTime time.Time `json:"creationTime"`
}

func showKeys(a account) *arm.Response {
	keys := []keyBody{}
	for _, k := range a.Keys {
		keys = append(keys, keyBody{k.Name, k.Value, "FULL", k.Created})
	}
	return &arm.Response{Status: http.StatusOK, Body: map[string]any{"keys": keys}}
}

func (m *management) listKeys(_ context.Context, r *arm.Request) (*arm.Response, error) {
	a, err := m.find(r)
	if err != nil {
		return nil, err
	}
	return showKeys(a), nil
}

// regenerateKey replaces one of the keys; the old one ends at once.
func (m *management) regenerateKey(_ context.Context, r *arm.Request) (*arm.Response, error) {
	var body struct {
		KeyName string `json:"keyName"`
	}
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	m.service.mu.Lock()
	defer m.service.mu.Unlock()
	a, err := m.find(r)
	if err != nil {
		return nil, err
	}
	for i, k := range a.Keys {
		if k.Name == body.KeyName {
			a.Keys[i] = newKey(k.Name)
			if err := m.service.putAccount(a); err != nil {
				return nil, err
			}
			return showKeys(a), nil
		}
	}
	return nil, arm.BadRequest("InvalidRequestPropertyValue",
		"The value '%s' is not allowed for property keyName: it must be key1 or key2.", body.KeyName)
}

// checkName says whether an account of a name could be created.
func (m *management) checkName(_ context.Context, r *arm.Request) (*arm.Response, error) {
	var body struct {
		Name string `json:"name"`
	}
	if err := r.Decode(&body); err != nil {
		return nil, err
	}
	answer := map[string]any{"nameAvailable": true}
	_, err := m.service.account(body.Name)
	switch {
	case !accountName.MatchString(body.Name):
		answer = map[string]any{"nameAvailable": false, "reason": "AccountNameInvalid",
			"message": body.Name + " is not a valid storage account name."}
	case err == nil:
		answer = map[string]any{"nameAvailable": false, "reason": "AlreadyExists",
			"message": "The storage account named " + body.Name + " is already taken."}
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	return &arm.Response{Status: http.StatusOK, Body: answer}, nil
}
