package agent

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"frankenetes.dev/agent/protocol"
)

func TestFromEnvironment(t *testing.T) {
	t.Setenv(protocol.EnvNode, "node:10300")
	t.Setenv(protocol.EnvAuthority, "PEM")
	t.Setenv(protocol.EnvToken, "")
	if _, err := FromEnvironment(); err == nil || !strings.Contains(err.Error(), protocol.EnvToken) {
		t.Errorf("without a token: %v", err)
	}
	t.Setenv(protocol.EnvNode, "node:10300")
	t.Setenv(protocol.EnvAuthority, "PEM")
	t.Setenv(protocol.EnvToken, "secret")
	cfg, err := FromEnvironment()
	if err != nil || cfg.Node != "node:10300" || cfg.Token != "secret" || string(cfg.Authority) != "PEM" {
		t.Errorf("got %+v, %v", cfg, err)
	}
	for _, name := range []string{protocol.EnvNode, protocol.EnvToken, protocol.EnvAuthority} {
		if value, ok := os.LookupEnv(name); ok {
			t.Errorf("%s is still %q", name, value)
		}
	}
}

func TestEraseEnvironment(t *testing.T) {
	before := os.Environ()
	if err := EraseEnvironment(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("/proc/self/environ")
	if err != nil || len(bytes.Trim(data, "\x00")) != 0 {
		t.Errorf("it shows %.40q (%v)", data, err)
	}
	if after := os.Environ(); strings.Join(before, "\n") != strings.Join(after, "\n") {
		t.Error("the program itself has lost its environment")
	}
}

func TestInstall(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "frankenetes")
	for range 2 { // an init container may run twice
		if err := Install(dir); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]os.FileMode{
		".": os.ModeDir | os.ModeSticky | 0o777, "log": os.ModeDir | os.ModeSticky | 0o777, "agent": 0o755,
	} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v (%v), want mode %v", name, info, err, want)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ours, err1 := os.ReadFile(self)
	theirs, err2 := os.ReadFile(filepath.Join(dir, "agent"))
	if err1 != nil || err2 != nil || !bytes.Equal(ours, theirs) {
		t.Errorf("the copy differs (%v, %v)", err1, err2)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("there is also %v", entries)
	}
}
