package app

import (
	"strings"
	"testing"

	"frankenetes.dev/cluster"
	"frankenetes.dev/fault"
)

func TestNobodyIsWokenWhereThatIsNotWanted(t *testing.T) {
	file := t.TempDir() + "/demo.json"
	if err := (cluster.Credential{Server: "https://127.0.0.1:1"}).Save(file); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--no-wake"}, nil} {
		if args == nil {
			t.Setenv(noWake, "1")
		}
		out, errs, code := frankenetes(t, append([]string{"credential", "demo", "--file", file}, args...)...)
		if code != int(fault.Unavailable) || out != "" || !strings.Contains(errs, "frankenetes resume demo") {
			t.Errorf("%v: exit code %d, %q, %q", args, code, out, errs)
		}
	}
}

func TestAWakeUpNeedsACloud(t *testing.T) {
	file := t.TempDir() + "/demo.json"
	if err := (cluster.Credential{Server: "https://127.0.0.1:1"}).Save(file); err != nil {
		t.Fatal(err)
	}
	out, errs, code := frankenetes(t, "credential", "demo", "--file", file)
	if code != int(fault.Unavailable) || out != "" || !strings.Contains(errs, "cloud start") {
		t.Errorf("exit code %d, %q, %q", code, out, errs)
	}
}
