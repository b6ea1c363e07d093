package app

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheUnitIsOneThatSystemdTakes(t *testing.T) {
	o := &options{build: Build{Executable: "/bin/true"}, home: `/srv/a "cloud" of 100%`}
	text, err := o.unitText()
	if err != nil {
		t.Fatal(err)
	}
	if want := `ExecStart="/bin/true" cloud run --home "/srv/a \"cloud\" of 100%%"`; !strings.Contains(text, want+"\n") {
		t.Errorf("it has no %s:\n%s", want, text)
	}
	if name := filepath.Base(o.unitPath()); name != "frankenetes-srv-a--cloud--of-100.service" {
		t.Errorf("it is called %s", name)
	}
	if name := filepath.Base((&options{home: defaultHome}).unitPath()); name != "frankenetes.service" {
		t.Errorf("that of the default data directory is called %s", name)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("NOT TESTED: there is no systemd to read it")
	}
	path := filepath.Join(t.TempDir(), "frankenetes.service")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "verify", path).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte(filepath.Base(path))) {
		t.Errorf("systemd says: %s (%v)", out, err)
	}
}

func TestInstallPrintsTheUnitAndChangesNothing(t *testing.T) {
	out, errs, code := frankenetes(t, "cloud", "install", "--print")
	if code != 0 || !strings.Contains(out, "[Service]") || errs != "" {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}
