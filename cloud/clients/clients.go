// Package clients points programs that are not ours at a cloud: az, programs
// on the Azure SDKs, curl. It exists because each of them finds a cloud that
// is not Microsoft's in a way of its own, which a user should not have to know.
package clients

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"frankenetes.dev/cloud"
)

// The files in the directory of the clients.
const (
	// bundleName is what the clients trust: the system's authorities and the
	// cloud's, since some of the variables that name it replace the system's.
	bundleName = "ca.pem"
	// azName is az's own configuration, beside the user's.
	azName = "azure"
)

// azCloud is the name under which az knows the cloud.
const azCloud = "Frankenetes"

// Variable is a variable of the environment.
type Variable struct{ Name, Value string }

// Variables returns what points the clients at a cloud. The files that the
// values name are those that Write makes in dir.
func Variables(c cloud.Config, dir string) []Variable {
	bundle := filepath.Join(dir, bundleName)
	return []Variable{
		{"AZURE_CONFIG_DIR", filepath.Join(dir, azName)},
		{"AZURE_CORE_COLLECT_TELEMETRY", "no"},
		{"AZURE_DEFAULTS_LOCATION", c.Location},
		{"REQUESTS_CA_BUNDLE", bundle},         // Python, as az is
		{"WEBSOCKET_CLIENT_CA_BUNDLE", bundle}, // az container exec
		{"SSL_CERT_FILE", bundle},              // Go, OpenSSL
		{"CURL_CA_BUNDLE", bundle},             // curl, which prefers it
		{"ARM_ENDPOINT", c.ResourceManager},
		{"AZURE_AUTHORITY_HOST", strings.TrimSuffix(c.Authority, "/") + "/"},
		{"AZURE_TENANT_ID", c.TenantID},
		{"AZURE_SUBSCRIPTION_ID", c.SubscriptionID},
		{"AZURE_CLIENT_ID", c.Credential.ClientID},
		{"AZURE_CLIENT_SECRET", c.Credential.ClientSecret},
	}
}

// Names returns the names of all variables.
func Names() []string {
	var names []string
	for _, v := range Variables(cloud.Config{}, "") {
		names = append(names, v.Name)
	}
	return names
}

// Write makes the files of a cloud's clients in a directory below root, whose
// absolute path is dir, and gives them to a user. No path leads out of root,
// whatever links there are. What az keeps in its directory is left alone.
func Write(root *os.Root, dir string, c cloud.Config, uid, gid int) error {
	az := filepath.Join(dir, azName)
	if err := root.MkdirAll(az, 0o700); err != nil {
		return fmt.Errorf("make directory of clients: %w", err)
	}
	files := []struct {
		path    string
		content []byte
		enough  func(there []byte) bool
	}{
		{filepath.Join(dir, bundleName), bundle(c), func([]byte) bool { return false }},
		{filepath.Join(az, "clouds.config"), []byte(azClouds(c)), func(there []byte) bool { return holdsLines(there, azClouds(c)) }},
		{filepath.Join(az, "config"), []byte(azConfig), func([]byte) bool { return true }},
	}
	for _, f := range files {
		there, err := root.ReadFile(f.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read file of clients: %w", err)
		}
		if err == nil && f.enough(there) {
			continue
		}
		if err := replace(root, f.path, f.content); err != nil {
			return fmt.Errorf("write file of clients: %w", err)
		}
		if err := root.Lchown(f.path, uid, gid); err != nil {
			return fmt.Errorf("give file of clients to its user: %w", err)
		}
	}
	for path := az; path != "."; path = filepath.Dir(path) {
		if err := root.Lchown(path, uid, gid); err != nil {
			return fmt.Errorf("give directory of clients to its user: %w", err)
		}
	}
	return nil
}

// replace writes a file as a whole: who reads it meanwhile reads the old one.
// There is no secret in any of them.
func replace(root *os.Root, path string, content []byte) error {
	tmp := path + ".new"
	if err := root.WriteFile(tmp, content, 0o644); err != nil {
		return err
	}
	if err := root.Rename(tmp, path); err != nil {
		return errors.Join(err, root.Remove(tmp))
	}
	return nil
}

// systemBundles is where Linux distributions keep the authorities they trust.
func systemBundles() []string {
	return []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Arch, Alpine
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem", // SUSE
		"/etc/ssl/cert.pem",
	}
}

func bundle(c cloud.Config) []byte {
	for _, path := range systemBundles() {
		if system, err := os.ReadFile(path); err == nil {
			return append(append(bytes.TrimRight(system, "\n"), '\n'), c.CA...)
		}
	}
	return []byte(c.CA)
}

// holdsLines says whether a file has all the lines that are wanted; az adds
// some of its own.
func holdsLines(there []byte, wanted string) bool {
	have := map[string]bool{}
	for line := range strings.Lines(string(there)) {
		have[strings.TrimSpace(line)] = true
	}
	for line := range strings.Lines(wanted) {
		if !have[strings.TrimSpace(line)] {
			return false
		}
	}
	return true
}
