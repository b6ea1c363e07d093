// Package cloud connects to a cloud with the Azure SDK: endpoints, credentials
// and typed helpers. It exists so that the layers above speak to Azure and to
// the embedded cloud with the same code: the two differ in a Config, in
// nothing else.
package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Config says where a cloud is and as whom to speak to it. The zero values of
// the endpoints mean Azure's public cloud.
type Config struct {
	// Name is what users see: "azure", or "local" for the embedded cloud.
	Name           string `json:"name"`
	SubscriptionID string `json:"subscriptionId"`
	TenantID       string `json:"tenantId"`
	// Location is where resources are made unless a cluster says otherwise.
	Location string `json:"location"`

	// ResourceManager and Authority are base URLs; Audience is what tokens
	// are asked for.
	ResourceManager string `json:"resourceManager,omitempty"`
	Authority       string `json:"authority,omitempty"`
	Audience        string `json:"audience,omitempty"`
	// CA is a PEM bundle trusted in addition to the system's roots.
	CA string `json:"ca,omitempty"`

	Credential Credential `json:"credential"`

	// DNSSuffix follows "{label}.{location}." in a group's name.
	DNSSuffix string `json:"dnsSuffix"`
	// Registry is the host of the registry that answers to this cloud's
	// tokens; images of ours are named by it.
	Registry string `json:"registry"`
	// Mirror is whether that registry also has images of other registries, as
	// a mirror that is asked with ?ns= and the other's name.
	Mirror bool `json:"mirror,omitempty"`
	// StorageSuffix ends the host names of storage endpoints, "{account}.file."
	// before it, where that is not Azure's.
	StorageSuffix string `json:"storageSuffix,omitempty"`
	// PublishOn is the loopback address where the cloud publishes the ports
	// that a group's tag asks for; empty where a group's own name resolves
	// for everyone, as on Azure.
	PublishOn string `json:"publishOn,omitempty"`

	// Inside is how groups of this cloud reach it, where that differs.
	Inside *Inside `json:"inside,omitempty"`
}

// Credential is whom to be: a service principal, a managed identity, or, when
// empty, whoever the environment says (az login, variables, workload identity).
type Credential struct {
	ClientID     string `json:"clientId,omitempty"`
	ClientSecret string `json:"clientSecret,omitempty"`
	// ManagedIdentity is the client id of a user-assigned identity.
	ManagedIdentity string `json:"managedIdentity,omitempty"`
}

// Inside are the endpoints as a container group sees them.
type Inside struct {
	ResourceManager string `json:"resourceManager"`
	Authority       string `json:"authority"`
	// Files is the base URL of the file services, without the account's name.
	Files string `json:"files"`
}

// PublishTag is the tag by which a group asks for ports on PublishOn, written
// "hostPort:groupPort". A cloud whose groups are reachable by name ignores it.
const PublishTag = "frankenetes-publish"

// ForGroup returns the configuration that a group of this cloud needs to speak
// to it as the user-assigned identity with the given client id.
func (c Config) ForGroup(identity string) Config {
	if c.Inside != nil {
		c.ResourceManager, c.Authority = c.Inside.ResourceManager, c.Inside.Authority
	}
	c.Inside, c.PublishOn = nil, ""
	c.Credential = Credential{ManagedIdentity: identity}
	return c
}

// FQDN returns the name of the group with the given DNS label.
func (c Config) FQDN(label, location string) string {
	return label + "." + location + "." + c.DNSSuffix
}

// ErrNoConfig is returned by Load when there is no such file.
var ErrNoConfig = errors.New("no cloud is configured there")

// Load reads a configuration from a file.
func Load(path string) (Config, error) {
	var c Config
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return c, fmt.Errorf("read cloud configuration %s: %w", path, ErrNoConfig)
	}
	if err != nil {
		return c, fmt.Errorf("read cloud configuration: %w", err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("read cloud configuration %s: %w", path, err)
	}
	return c, nil
}

// Save writes the configuration so that only its owner can read it.
func (c Config) Save(path string) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("encode cloud configuration: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".cloud-*.json")
	if err != nil {
		return fmt.Errorf("write cloud configuration: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(data, '\n'))
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("write cloud configuration: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("write cloud configuration: %w", err)
	}
	return nil
}
