package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"frankenetes.dev/cloud"
)

func local() cloud.Config {
	return cloud.Config{
		Name: "local", SubscriptionID: "sub", TenantID: "tenant", Location: "here", CA: "-----BEGIN CERTIFICATE-----\nours\n",
		ResourceManager: "https://127.0.0.1:20001", Authority: "https://127.0.0.1:20001", Registry: "frankenetes.internal",
		Credential: cloud.Credential{ClientID: "client", ClientSecret: "hidden"},
	}
}

// write makes the files in a directory below a new root and returns its path.
func write(t *testing.T, c cloud.Config, base string) string {
	t.Helper()
	root, err := os.OpenRoot(base)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := Write(root, "a/b", c, os.Getuid(), os.Getgid()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(base, "a/b")
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEveryFileThatAVariableNamesIsThere(t *testing.T) {
	dir := write(t, local(), t.TempDir())
	for _, v := range Variables(local(), dir) {
		if v.Value == "" {
			t.Errorf("%s is empty", v.Name)
		}
		if !strings.HasPrefix(v.Value, dir) {
			continue
		}
		if _, err := os.Stat(v.Value); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
	}
	if !strings.HasSuffix(read(t, filepath.Join(dir, "ca.pem")), local().CA) {
		t.Error("the bundle does not end with the cloud's authority")
	}
}

func TestNoFileHoldsTheSecretAndAzsDirectoryIsPrivate(t *testing.T) {
	dir := write(t, local(), t.TempDir())
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.Contains(read(t, path), "hidden") {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "azure"))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("az's directory is %v, %v", info.Mode(), err)
	}
}

func TestWhatAzWroteStaysWhileTheCloudIsTheSame(t *testing.T) {
	base := t.TempDir()
	dir := write(t, local(), base)
	clouds, config := filepath.Join(dir, "azure/clouds.config"), filepath.Join(dir, "azure/config")
	// az writes the subscription that is the default into the registration.
	signedIn := read(t, clouds) + "subscription = sub\n"
	for path, text := range map[string]string{clouds: signedIn, config: "[cloud]\nname = Frankenetes\n[defaults]\ngroup = web\n"} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(t, local(), base)
	if read(t, clouds) != signedIn {
		t.Error("the default subscription is lost")
	}
	moved := local()
	moved.ResourceManager = "https://127.0.0.1:20002"
	write(t, moved, base)
	if text := read(t, clouds); !strings.Contains(text, "endpoint_resource_manager = https://127.0.0.1:20002/") {
		t.Errorf("az is still pointed at the old address:\n%s", text)
	}
	if !strings.Contains(read(t, config), "group = web") {
		t.Error("the user's defaults are lost")
	}
}

func TestALinkLeadsNowhereElse(t *testing.T) {
	base, elsewhere := t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(base, "a")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := Write(root, "a/b", local(), os.Getuid(), os.Getgid()); err == nil {
		t.Error("a link out of the home was followed")
	}
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) != 0 {
		t.Errorf("%v was written there, %v", entries, err)
	}
}
