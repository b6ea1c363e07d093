package groups

import (
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
)

// of makes a group of one image, with a password for its registry unless that
// is empty.
func of(image, password string) aci.ContainerGroup {
	g := sdkGroup(sdkContainer("web"))
	g.Properties.Containers[0].Properties.Image = &image
	if password != "" {
		g.Properties.ImageRegistryCredentials = []*aci.ImageRegistryCredential{{Server: to.Ptr("closed.example"), Username: to.Ptr("me"), Password: &password}}
	}
	return g
}

func TestAnImageThatACredentialBroughtIsNobodyElses(t *testing.T) {
	w := newWorld(t)
	c := w.operate(t)
	c.create(t, "owner", of("closed.example/app:1", "secret"))
	for name, password := range map[string]string{"nobody": "", "guesser": "wrong"} {
		if err := c.put(t, name, of("closed.example/app:1", password)); refused(t, err) != "InaccessibleImage" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.put(t, "twin", of("closed.example/app:1", "secret")); err != nil {
		t.Errorf("with the same credential: %v", err)
	}
	// The next daemon knows it too.
	if _, private, err := (privateImages{w.store}).openedBy("sha256:closed.example/app:1"); !private || err != nil {
		t.Errorf("on record: %v, %v", private, err)
	}
	// What the operator has loaded is for everyone, whoever pulled the same.
	c.create(t, "first", of("closed.example/app:loaded", "secret"))
	if err := c.put(t, "second", of("closed.example/app:loaded", "")); err != nil {
		t.Errorf("an image that was loaded: %v", err)
	}
}
