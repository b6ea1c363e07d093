package e2e

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"frankenetes.dev/cloud"
)

// testTLS knocks at every port of a cluster and of its cloud, without TLS and
// without a certificate or token.
func testTLS(m *operator) {
	etcd := m.address("frankenetes", "etcd")
	api := m.address("frankenetes", "apiserver")
	node := m.address("frankenetes", "virtual-kubelet")
	conn := m.Connect()
	arm := strings.TrimPrefix(conn.ResourceManager, "https://")
	for _, server := range []struct{ name, address, paths string }{
		{"etcd", net.JoinHostPort(etcd, "2379"), "/ /version /health /metrics /v3/kv/range"},
		{"API server", net.JoinHostPort(api, "6443"), "/ /version /api/v1/secrets /metrics /openapi/v2"},
		{"kubelet", net.JoinHostPort(node, "10250"), "/pods /metrics /stats/summary /logs/ /configz /exec/default/x/y /healthz"},
		{"agent endpoint", net.JoinHostPort(node, "10300"), "/ /v1/enrol /v1/hello"},
		{"ARM", arm, "/ /subscriptions /subscriptions?api-version=2021-04-01 /nonsense"},
	} {
		m.T.Run(server.name, func(t *testing.T) {
			refusesPlain(t, server.address)
			refusesStrangers(t, server.address, strings.Fields(server.paths))
		})
	}
}

func refusesPlain(t *testing.T, address string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Get("http://" + address + "/version")
	if err != nil {
		return
	}
	defer res.Body.Close()
	if res.StatusCode < 400 {
		t.Errorf("plain HTTP got %s", res.Status)
	}
}

// refusesStrangers speaks TLS, but shows neither certificate nor token.
func refusesStrangers(t *testing.T, address string, paths []string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		// Who the server is does not matter here; who we are does.
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	for _, path := range paths {
		res, err := client.Get("https://" + address + path)
		if err != nil {
			continue // the handshake was refused
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden {
			t.Errorf("%s without a certificate or token: %s", path, res.Status)
		}
	}
}

// testSecrets looks for secrets where they must not be.
func testSecrets(m *operator) {
	conn := m.Connect()
	token, err := conn.Token(context.Background())
	if err != nil {
		m.T.Fatal(err)
	}
	for _, resourceGroup := range []string{"frankenetes", "frankenetes-pods"} {
		groups, err := conn.ListGroups(context.Background(), resourceGroup)
		if err != nil || len(groups) == 0 {
			m.T.Fatalf("groups of %s: %d, %v", resourceGroup, len(groups), err)
		}
		for _, g := range groups {
			expectNoTokens(m, g)
			body := get(m.T, conn.HTTPClient(), token, conn.ResourceManager+*g.ID+"?api-version=2023-05-01")
			for what, secret := range map[string]string{
				"a private key":          "PRIVATE KEY",
				"a private key, encoded": base64.StdEncoding.EncodeToString([]byte("-----BEGIN PRIVATE")),
				"the pod's Secret":       "correct-horse",
			} {
				if strings.Contains(body, secret) {
					m.T.Errorf("%s of %s/%s can be read through the API", what, resourceGroup, *g.Name)
				}
			}
		}
	}
	// In etcd, Secrets are encrypted: the node may not read them all, and the
	// store itself has only ciphertext.
	if out, code := m.Try("kubectl", "get", "secrets", "-A", "--as=system:node:virtual-kubelet", "--as-group=system:nodes"); code == 0 {
		m.T.Errorf("the node may list every Secret: %s", out)
	}
	if found := grepData(m, "/shares/", "correct-horse"); found != "" {
		m.T.Errorf("the pod's Secret is in clear in %s", found)
	}
	// What pods have of it is in memory.
	if found := grepData(m, "/volume-", "correct-horse"); found != "" {
		m.T.Errorf("the pod's Secret is on the disk of its group, in %s", found)
	}
	if strings.Contains(m.Run("logs", "virtual-kubelet"), "correct-horse") {
		m.T.Error("the pod's Secret is in the node's log")
	}
	testProcesses(m)
	testModes(m)
}

// expectNoTokens checks that what agents are let in by cannot be read.
func expectNoTokens(m *operator, g *cloud.Group) {
	m.T.Helper()
	for _, c := range g.Properties.Containers {
		for _, v := range c.Properties.EnvironmentVariables {
			if *v.Name == "FRANKENETES_TOKEN" && (v.Value != nil || v.SecureValue != nil) {
				m.T.Errorf("the token of %s/%s can be read through the API", *g.Name, *c.Name)
			}
		}
	}
}

// testProcesses looks at what is told of the agents' processes: on the host,
// where everybody may read command lines, and in a pod.
func testProcesses(m *operator) {
	agents := 0
	for _, p := range m.Traces().Containers(m.T) {
		command := p.Command()
		if strings.Contains(command, "correct-horse") || strings.Contains(command, "PRIVATE KEY") {
			m.T.Errorf("a secret is on the command line of process %d", p.PID)
		}
		if !strings.HasPrefix(command, "/.frankenetes/agent run") {
			continue
		}
		agents++
		for _, v := range p.Environ {
			if strings.Contains(v, "correct-horse") || strings.HasPrefix(v, "FRANKENETES_TOKEN=") {
				m.T.Errorf("a secret is in the environment of the agent, process %d", p.PID)
			}
		}
	}
	if agents == 0 {
		m.T.Error("there are no agents")
	}
	if got := m.kubectl("exec", "volumes", "--", "sh", "-c", "cat /proc/1/cmdline /proc/1/environ | tr '\\0' '\\n' | grep -c TOKEN=. ; true"); got != "0\n" {
		m.T.Errorf("%s variables of the agent tell a token in its container", strings.TrimSpace(got))
	}
}

// testModes looks for files of the cloud that another user of this machine can
// read.
func testModes(m *operator) {
	for _, dir := range []string{m.Home, filepath.Join("/run/frankenetes", m.Status().ID)} {
		cmd := exec.Command("find", dir, "-type", "f", "-readable")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, _ := cmd.Output() // it fails where it may not look
		if len(out) > 0 {
			m.T.Errorf("everybody can read\n%s", out)
		}
		if _, err := os.Stat(dir); err != nil {
			m.T.Error(err)
		}
	}
}

func get(t *testing.T, client *http.Client, token, url string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || !json.Valid(body) {
		t.Fatalf("%s: %s, %v\n%s", url, res.Status, err, body)
	}
	return string(body)
}
