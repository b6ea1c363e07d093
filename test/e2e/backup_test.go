package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// testBackup backs the cluster up while it is paused, and makes another one of
// the file.
func testBackup(m *operator) {
	dir := m.T.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			m.T.Fatal(err)
		}
		return path
	}
	phrase, file := write("passphrase", "a long passphrase\n"), filepath.Join(dir, "demo.backup")
	revision := func() int {
		var list struct {
			Metadata struct{ ResourceVersion string }
		}
		if err := json.Unmarshal([]byte(m.kubectl("get", "--raw", "/api/v1/namespaces")), &list); err != nil {
			m.T.Fatal(err)
		}
		n, err := strconv.Atoi(list.Metadata.ResourceVersion)
		if err != nil {
			m.T.Fatal(err)
		}
		return n
	}
	seen := revision()
	services := m.kubectl("get", "services,configmaps,secrets,deployments", "-A", "-o", "name")

	m.Run("pause")
	m.Run("backup", "-o", file, "--passphrase-file", phrase)
	if out := m.Run("status"); !strings.Contains(out, "Paused") {
		m.T.Errorf("a paused cluster that was backed up:\n%s", out)
	}
	for what, args := range map[string][]string{
		"a file that is there":      {"backup", "-o", file, "--passphrase-file", phrase},
		"a cluster that is there":   {"restore", file, "--passphrase-file", phrase},
		"a wrong passphrase":        {"restore", file, "--name", "copy", "--passphrase-file", write("wrong", "another one")},
		"a backup that was cut off": {"restore", cutOff(m, file), "--name", "copy", "--passphrase-file", phrase},
	} {
		if out, code := m.Try(args...); code != 4 || !strings.Contains(out, "hint: ") {
			m.T.Errorf("%s: exit code %d\n%s", what, code, out)
		}
	}
	m.Run("restore", file, "--name", "copy", "--passphrase-file", phrase)
	if got := m.kubectl("get", "services,configmaps,secrets,deployments", "-A", "-o", "name"); got != services {
		m.T.Errorf("objects before:\n%s\nafter:\n%s", services, got)
	}
	if now := revision(); now <= seen {
		m.T.Errorf("the revision was %d and is %d: who watched would miss changes", seen, now)
	}
	hellos(m)
	m.Run("down", "copy", "--yes")
	m.Run("resume")
}

// cutOff is a backup without its last byte.
func cutOff(m *operator, file string) string {
	m.T.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		m.T.Fatal(err)
	}
	file += ".cut"
	if err := os.WriteFile(file, data[:len(data)-1], 0o600); err != nil {
		m.T.Fatal(err)
	}
	return file
}
