package cloud

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// local is the configuration of a cloud of our own.
func local() Config {
	return Config{
		Name: "local", SubscriptionID: "sub", TenantID: "tenant", Location: "local",
		ResourceManager: "https://127.0.0.1:1", Authority: "https://127.0.0.1:2", Audience: "https://management",
		Credential: Credential{ClientID: "operator", ClientSecret: "hush"},
		DNSSuffix:  "azurecontainer.io", Registry: "frankenetes.internal", PublishOn: "127.0.0.1",
		Inside: &Inside{ResourceManager: "https://management.internal:1", Authority: "https://login.internal:2"},
	}
}

func TestAConfigurationIsOnlyItsOwnersToRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cloud.json")
	want := local()
	for range 2 {
		if err := want.Save(path); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	got, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := Load(path + ".other"); !errors.Is(err, ErrNoConfig) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestAGroupGetsItsOwnViewAndNoSecret(t *testing.T) {
	got := local().ForGroup("identity")
	if got.ResourceManager != "https://management.internal:1" || got.Authority != "https://login.internal:2" {
		t.Errorf("endpoints: %s, %s", got.ResourceManager, got.Authority)
	}
	if got.Credential != (Credential{ManagedIdentity: "identity"}) {
		t.Errorf("credential: %+v", got.Credential)
	}
	if got.PublishOn != "" || got.Inside != nil {
		t.Errorf("a group is told of this machine's loopback: %+v", got)
	}
	azure := Config{Name: "azure", Location: "eastus"}
	if got := azure.ForGroup("identity"); got.ResourceManager != "" || got.Location != "eastus" {
		t.Errorf("on Azure: %+v", got)
	}
}

func TestAWrongCAIsNamed(t *testing.T) {
	c := local()
	c.CA = "nonsense"
	if _, err := Connect(c); err == nil {
		t.Error("connected with nonsense as CA")
	}
}
