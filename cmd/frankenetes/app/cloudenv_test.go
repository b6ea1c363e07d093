package app

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"frankenetes.dev/cloud/clients"
	"frankenetes.dev/embedded"
	"frankenetes.dev/embedded/isolation"
	"frankenetes.dev/fault"
)

// TestAShellReadsWhatWasWritten lets a shell say what it understood.
func TestAShellReadsWhatWasWritten(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	awkward := `it's $HOME "and" \n more`
	var text strings.Builder
	if err := writeShell(&text, []clients.Variable{{Name: "ONE", Value: awkward}, {Name: "TWO", Value: "2"}}); err != nil {
		t.Fatal(err)
	}
	script := text.String() + `printf '%s|%s' "$ONE" "$TWO"`
	cmd := exec.Command(sh)
	cmd.Stdin = strings.NewReader(script)
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != awkward+"|2" {
		t.Errorf("the shell read %q, %v", out, err)
	}
}

func TestUnsetTakesAwayAllThatIsSetAndNeedsNoCloud(t *testing.T) {
	stdout, stderr, code := frankenetes(t, "cloud", "env", "--unset")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	words := strings.Fields(stdout)
	if words[0] != "unset" || len(words) != 1+len(clients.Names()) {
		t.Errorf("it prints %q", stdout)
	}
}

func TestEnvOfACloudThatDoesNotRunPrintsNothing(t *testing.T) {
	stdout, stderr, code := frankenetes(t, "cloud", "env")
	want := fault.Unavailable
	if os.Geteuid() != 0 {
		want = fault.Permission
	}
	if code != int(want) || stdout != "" || !strings.Contains(stderr, "hint: ") {
		t.Errorf("exit code %d, printed %q and said %q", code, stdout, stderr)
	}
}

func TestAPrincipalNeedsOneNameAndARoleForItsScope(t *testing.T) {
	for _, args := range [][]string{{"add"}, {"add", "one", "two"}, {"add", "ci", "--scope", "web"}, {"rm"}} {
		_, stderr, code := frankenetes(t, append([]string{"cloud", "principal"}, args...)...)
		if code != int(fault.Usage) || !strings.Contains(stderr, "hint: ") {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
	}
}

func TestWhatARunningCloudDoesNotTakeUpIsSaid(t *testing.T) {
	for _, c := range []struct {
		asked  string
		status embedded.Status
		lines  int
	}{
		{"", embedded.Status{Isolation: isolation.None}, 0},
		{"auto", embedded.Status{Isolation: isolation.None}, 0},
		{"none", embedded.Status{Isolation: isolation.None}, 0},
		{"none", embedded.Status{Isolation: isolation.UserNamespaces}, 1},
		{"userns", embedded.Status{Isolation: isolation.None, Outdated: true}, 2},
	} {
		var said strings.Builder
		o := &options{isolation: c.asked, streams: Streams{Err: &said}}
		if o.warn(c.status); strings.Count(said.String(), "\n") != c.lines {
			t.Errorf("--isolation %q of %+v: %q", c.asked, c.status, said.String())
		}
	}
}
