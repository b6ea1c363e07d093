package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"frankenetes.dev/cluster"
	"frankenetes.dev/fault"
)

// TestMain keeps a test that starts a cloud by mistake from running all tests
// again in its place: the daemon is this program, whatever that is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "cloud" {
		fmt.Fprintln(os.Stderr, "unit tests start no cloud")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// frankenetes runs a command line in this process, on a data directory where
// no cloud is.
func frankenetes(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	t.Setenv("FRANKENETES_HOME", t.TempDir())
	t.Setenv("FRANKENETES_CLOUD", "")
	t.Setenv("KUBECONFIG", t.TempDir()+"/config")
	var out, errs bytes.Buffer
	code = Run(t.Context(), Build{Version: "v9", Kubernetes: "v1.2.3"}, Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, args)
	return out.String(), errs.String(), code
}

func TestBadInputGetsOneLineAHintAndItsExitCode(t *testing.T) {
	for _, c := range []struct {
		args string
		code fault.Kind
		says string
	}{
		{"up Not_A_Label", fault.Usage, "not a DNS label"},
		{"up demo-pods", fault.Usage, "another cluster's pods"},
		{"up one two", fault.Usage, "takes one name"},
		{"up --no-such-flag", fault.Usage, "unknown flag: --no-such-flag"},
		{"up --port many", fault.Usage, "invalid argument"},
		{"up --port 99999", fault.Usage, "no port 99999"},
		{"resume --port many", fault.Usage, "invalid argument"},
		{"up --nodes 0", fault.Usage, "cannot have 0 nodes"},
		{"up --nodes -2", fault.Usage, "cannot have -2 nodes"},
		{"up --nodes 10", fault.Usage, "cannot have 10 nodes"},
		{"up --nodes two", fault.Usage, "invalid argument"},
		{"up --nodes 1.5", fault.Usage, "invalid argument"},
		{"up --snapshot-every 1s", fault.Usage, "every 1s"},
		{"up --snapshot-keep 0", fault.Usage, "cannot keep 0 snapshots"},
		{"up --pause-after 1s", fault.Usage, "after 1s"},
		{"up --pause-at noon", fault.Usage, "no time of the day"},
		{"up --cloud azure --resume-at 07:30", fault.Usage, "only the local cloud"},
		{"backup demo", fault.Usage, "not said where"},
		{"backup demo -o /nowhere/demo.backup", fault.Usage, "no terminal"},
		{"backup demo -o demo.backup --passphrase-file /nowhere", fault.Usage, "read passphrase"},
		{"restore", fault.Usage, ""},
		{"restore /nowhere.backup --passphrase-file /dev/null", fault.Usage, "read backup"},
		{"restore /nowhere.backup --name Not_A_Label", fault.Usage, "not a DNS label"},
		{"restore app_test.go --passphrase-file app.go", fault.Conflict, "not a backup"},
		{"frobnicate", fault.Usage, "unknown command"},
		{"statsu", fault.Usage, "unknown command"},
		{"create demo", fault.Usage, "unknown command"},
		{"delete demo", fault.Usage, "unknown command"},
		{"cloud strat", fault.Usage, "`frankenetes cloud --help` lists the commands"},
		{"cloud start now", fault.Usage, "start takes no argument, not \"now\""},
		{"image list all", fault.Usage, "`frankenetes image list --help` shows how"},
		{"list --timeout -1s", fault.Usage, "no time at all"},
		{"logs etcd --tail -3", fault.Usage, "number of lines"},
		{"logs etcd -f", fault.Unavailable, "cloud"},
		{"status -o xml", fault.Usage, "unknown output format"},
		{"status --cloud moon", fault.Usage, "unknown cloud"},
		{"status --cloud azure", fault.Usage, "not configured"},
		{"logs", fault.Usage, "one component"},
		{"status", fault.Unavailable, "cloud"},
		{"pause", fault.Unavailable, "cloud"},
		{"down --yes", fault.Unavailable, "cloud"},
		{"cloud logs", fault.Unavailable, "log of the local cloud"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Setenv("AZURE_SUBSCRIPTION_ID", "")
			stdout, stderr, code := frankenetes(t, strings.Fields(c.args)...)
			if code != int(c.code) || !strings.Contains(stderr, c.says) {
				t.Errorf("exit code %d, want %d; standard error:\n%s", code, c.code, stderr)
			}
			if lines := strings.Split(strings.TrimSpace(stderr), "\n"); len(lines) != 2 || !strings.HasPrefix(lines[1], "hint: ") {
				t.Errorf("want one line and one hint, got:\n%s", stderr)
			}
			if stdout != "" {
				t.Errorf("standard output: %s", stdout)
			}
		})
	}
}

func TestVersionInEveryFormat(t *testing.T) {
	for format, want := range map[string]string{
		"text": "kubernetes    v1.2.3\n", "json": `"kubernetes":"v1.2.3"`, "yaml": "kubernetes: v1.2.3\n", "name": "v9\n",
	} {
		if stdout, stderr, code := frankenetes(t, "version", "-o", format); code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("%s: exit code %d\n%s%s", format, code, stdout, stderr)
		}
	}
}

func TestCompletionAndHelpNeedNoCloud(t *testing.T) {
	for _, args := range []string{"completion bash", "completion zsh", "--help", "up --help", "create cluster --help", "stop --help"} {
		if stdout, stderr, code := frankenetes(t, strings.Fields(args)...); code != 0 || stdout == "" {
			t.Errorf("%s: exit code %d\n%s", args, code, stderr)
		}
	}
}

func TestEveryFlagOfEveryCommandCompletes(t *testing.T) {
	for args, want := range map[string]string{
		"__complete list -o|":        "text\njson\nyaml\nname\n:4\n",
		"__complete status --cloud|": "local\nazure\n:4\n",
		"__complete up -n|":          ":4\n",
		"__complete up --timeout|":   ":4\n",
		"__complete logs|":           "etcd\napiserver\ncontrollermanager\nscheduler\nvirtual-kubelet\n:4\n",
	} {
		words := append(strings.Fields(strings.TrimSuffix(args, "|")), "")
		if stdout, _, code := frankenetes(t, words...); code != 0 || stdout != want {
			t.Errorf("%s: exit code %d, %q", args, code, stdout)
		}
	}
}

func TestAVerbsResultIsOnStandardOutputInTheFormatAskedFor(t *testing.T) {
	for format, want := range map[string]string{
		"text": "", "name": "demo\n",
		"json": `{"access":{"name":"demo","server":"https://127.0.0.1:1","context":"frankenetes-demo"},"cluster":"demo","ms":1500,"state":"ready"}` + "\n",
		"yaml": "access:\n  context: frankenetes-demo\n  name: demo\n  server: https://127.0.0.1:1\ncluster: demo\nms: 1500\nstate: ready\n",
	} {
		var out, errs bytes.Buffer
		o := &options{streams: Streams{Out: &out, Err: &errs}, output: format}
		access := &cluster.Access{Name: "demo", Server: "https://127.0.0.1:1", Context: "frankenetes-demo"}
		if err := o.ended("demo", "ready", access, 1500*time.Millisecond); err != nil || out.String() != want {
			t.Errorf("%s: %v\n%s", format, err, out.String())
		}
		if shown := strings.Contains(errs.String(), "Cluster demo is ready after 1.5 s."); shown != (format == "text") {
			t.Errorf("%s: standard error:\n%s", format, errs.String())
		}
	}
}

func TestAQuestionEndsWithCtrlC(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, typed := io.Pipe()
	cancel()
	if _, err := readLine(ctx, in); !errors.Is(err, context.Canceled) {
		t.Errorf("without an answer: %v", err)
	}
	typed.Close()
	if text, err := readLine(t.Context(), strings.NewReader("yes")); text != "yes" || err != nil {
		t.Errorf("an answer without a line's end: %q, %v", text, err)
	}
}

func TestErrorsThatCameTogetherAreOneLine(t *testing.T) {
	var errs bytes.Buffer
	o := &options{streams: Streams{Err: &errs}}
	o.report(t.Context(), errors.Join(errors.New("one"), errors.New("two")))
	if errs.String() != "frankenetes: one; two\n" {
		t.Errorf("it says %q", errs.String())
	}
}

func TestAnErrorShowsTheLogAndTheHint(t *testing.T) {
	var errs bytes.Buffer
	o := &options{streams: Streams{Err: &errs}}
	code := o.report(t.Context(), &cluster.StepError{Step: "etcd", Err: &fault.Error{
		Kind: fault.Unavailable, Err: errors.New("etcd does not run"), Hint: "look at it", Log: []string{"panic: no disk"}}})
	if want := "frankenetes: etcd: etcd does not run\n  | panic: no disk\nhint: look at it\n"; errs.String() != want || code != 5 {
		t.Errorf("exit code %d:\n%s", code, errs.String())
	}
}

func TestTimeAndInterruptHaveTheirOwnCodes(t *testing.T) {
	var errs bytes.Buffer
	o := &options{streams: Streams{Err: &errs}, timeout: time.Second}
	if code := o.report(t.Context(), fmt.Errorf("wait: %w", context.DeadlineExceeded)); code != int(fault.Timeout) {
		t.Errorf("a timeout ends with %d", code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code := o.report(ctx, context.Canceled); code != fault.Interrupted {
		t.Errorf("an interrupt ends with %d", code)
	}
}

func TestStepsAsLinesAndAsJSON(t *testing.T) {
	play := func(p progress) {
		p.Start("etcd", 1, 2)
		p.Done("etcd", 1, 2, "data on a share", 1500*time.Millisecond, nil)
		p.Start("API server", 2, 2)
		p.Done("API server", 2, 2, "", time.Second, errors.New("no port"))
		p.end()
	}
	var out, errs bytes.Buffer
	o := &options{streams: Streams{Out: &out, Err: &errs}, output: "text"}
	play(o.newProgress())
	if got := errs.String(); !strings.Contains(got, "✓ etcd") || !strings.Contains(got, "1.5s\n") || !strings.Contains(got, "✗ API server") {
		t.Errorf("lines:\n%s", got)
	}
	o.output = "json"
	play(o.newProgress())
	var steps []jsonStep
	for dec := json.NewDecoder(&out); dec.More(); {
		var s jsonStep
		if err := dec.Decode(&s); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, s)
	}
	if len(steps) != 4 || steps[1].State != "done" || steps[1].Millis != 1500 || steps[3].Error != "no port" {
		t.Errorf("steps: %+v", steps)
	}
}

func TestALockDiesWithItsHolderAndKeepsOthersOut(t *testing.T) {
	o := &options{home: t.TempDir(), cloud: cloudLocal}
	unlock, err := o.lock("demo")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.lock("demo"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the second got %v", err)
	}
	other, err := o.lock("other")
	if err != nil {
		t.Errorf("another cluster is locked too: %v", err)
	} else {
		other()
	}
	unlock()
	again, err := o.lock("demo")
	if err != nil {
		t.Fatalf("after unlocking: %v", err)
	}
	again()
}

func TestUnderSudoTheKubeconfigIsTheCallers(t *testing.T) {
	t.Setenv("SUDO_USER", "nobody")
	t.Setenv("KUBECONFIG", "")
	path := func(euid int) string {
		paths, _ := kubeconfigPaths(euid)
		return paths.GetDefaultFilename()
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := path(0), filepath.Join(nobody.HomeDir, ".kube", "config"); got != want {
		t.Errorf("under sudo: %s, want %s", got, want)
	}
	if got := path(1000); strings.HasPrefix(got, nobody.HomeDir) {
		t.Errorf("without sudo: %s", got)
	}
	t.Setenv("KUBECONFIG", "/somewhere/else")
	if got := path(0); got != "/somewhere/else" {
		t.Errorf("$KUBECONFIG is not heeded: %s", got)
	}
}
