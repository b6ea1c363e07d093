package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"frankenetes.dev/pki"
)

// testWebhook has the API server ask a webhook that runs in a pod, and reach
// pods through a Service: nothing forwards a Service's address, so it has to go
// to the pods' own.
func testWebhook(m *operator) {
	authority, err := pki.NewAuthority("webhooks")
	if err != nil {
		m.T.Fatal(err)
	}
	pair, err := authority.Issue(pki.Leaf{CommonName: "hook", DNSNames: []string{"hook.default.svc"}, Server: true})
	if err != nil {
		m.T.Fatal(err)
	}
	dir := m.T.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for path, data := range map[string][]byte{cert: pair.Cert, key: pair.Key} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			m.T.Fatal(err)
		}
	}
	m.kubectl("create", "secret", "tls", "hook", "--cert", cert, "--key", key)
	manifest, err := os.ReadFile(filepath.Join("testdata", "webhook.yaml"))
	if err != nil {
		m.T.Fatal(err)
	}
	m.kubectlWith(strings.NewReader(fmt.Sprintf(string(manifest), base64.StdEncoding.EncodeToString(authority.CertPEM()))), "apply", "-f", "-")
	m.kubectl("wait", "pod/hook", "--for=condition=Ready", "--timeout", patience.String())
	m.eventually("the webhook refuses", func() error {
		if out, code := m.Try("kubectl", "create", "configmap", "refused", "--dry-run=server"); code == 0 || !strings.Contains(out, "this webhook denies all requests") {
			return fmt.Errorf("exit code %d, %s", code, out)
		}
		return nil
	})
	m.kubectl("delete", "-f", filepath.Join("testdata", "webhook.yaml"), "--wait=true")
	m.eventually("no webhook refuses any more", func() error { return m.answered("create", "configmap", "taken", "--dry-run=server") })

	m.kubectl("expose", "deployment", "hello", "--port=80", "--target-port=8080")
	m.eventually("the Service's proxy", func() error {
		out, code := m.Try("kubectl", "get", "--raw", "/api/v1/namespaces/default/services/hello:80/proxy/")
		if code != 0 || !strings.HasPrefix(out, "Hello from hello-") {
			return fmt.Errorf("exit code %d, %s", code, out)
		}
		return nil
	})
	m.kubectl("delete", "service", "hello")
}
