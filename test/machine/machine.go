package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"frankenetes.dev/cloud"
)

// Patience is how long anything may take on a slow and busy machine.
const Patience = 5 * time.Minute

// Machine is a cloud of the test's own, with the command line that drives it.
type Machine struct {
	// T is the test, or the part of it, that works on the machine now.
	T *testing.T
	// Bin is the directory of the programs, Home the cloud's data.
	Bin, Home string
	// Env is the environment in which programs are called.
	Env []string
}

// New prepares a directory for a cloud, which is not started yet, and removes
// every trace of it when the test ends. Without root or the binaries the test
// fails: a test that silently does nothing is worse than none.
func New(t *testing.T) *Machine {
	t.Helper()
	bin := os.Getenv("FRANKENETES_BIN")
	if bin == "" || os.Geteuid() != 0 {
		t.Fatal("end-to-end tests need root and the binaries: call them by `make e2e`")
	}
	dir := t.TempDir()
	m := &Machine{T: t, Bin: bin, Home: filepath.Join(dir, "cloud")}
	m.Env = append(os.Environ(),
		"FRANKENETES_HOME="+m.Home,
		"FRANKENETES_CLOUD=local",
		"KUBECONFIG="+filepath.Join(dir, "kubeconfig"),
		"HOME="+dir,
		"SUDO_USER=",
	)
	t.Cleanup(m.end)
	return m
}

// For returns the same machine in the hands of another test: a part of the story.
func (m *Machine) For(t *testing.T) *Machine {
	sub := *m
	sub.T = t
	return &sub
}

// end stops the cloud; what a failed test has made ends with it.
func (m *Machine) end() {
	if m.T.Failed() {
		m.T.Logf("cloud log:\n%s", tail(filepath.Join(m.Home, "cloud.log"), 60))
		m.T.Logf("containerd's log:\n%s", tail(filepath.Join(m.Home, "containerd", "containerd.log"), 40))
	}
	if out, code := m.Try("cloud", "stop"); code != 0 {
		m.T.Errorf("cloud stop: exit code %d\n%s", code, out)
	}
	ExpectNothing(m.T, "after the cloud has stopped", TracesOf(m.Home).Cloud(m.T))
}

// Run calls frankenetes, which must succeed, and returns its standard output.
func (m *Machine) Run(args ...string) string {
	m.T.Helper()
	stdout, stderr, code := m.Call(nil, "frankenetes", args...)
	if code != 0 {
		m.T.Fatalf("frankenetes %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	if stderr != "" {
		m.T.Logf("frankenetes %s\n%s", strings.Join(args, " "), stderr)
	}
	return stdout
}

// Try calls frankenetes and returns all that it prints, and its exit code.
func (m *Machine) Try(args ...string) (string, int) {
	stdout, stderr, code := m.Call(nil, "frankenetes", args...)
	return stdout + stderr, code
}

// Call runs one of the programs in Bin; the exit code is -1 when it could not
// be started.
func (m *Machine) Call(stdin io.Reader, program string, args ...string) (stdout, stderr string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(m.Bin, program), args...)
	cmd.Env, cmd.Stdin = m.Env, stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return "", err.Error(), -1
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Status is what `frankenetes cloud status` says of a cloud that runs.
type Status struct {
	ID     string
	PID    int
	Groups int
}

// Status asks the cloud, which must run.
func (m *Machine) Status() Status {
	m.T.Helper()
	var s Status
	if err := json.Unmarshal([]byte(m.Run("cloud", "status", "-o", "json")), &s); err != nil || len(s.ID) != 8 || s.PID <= 0 {
		m.T.Fatalf("status of the cloud: %+v, %v", s, err)
	}
	return s
}

// Config is the cloud's configuration, which it writes when it starts.
func (m *Machine) Config() cloud.Config {
	m.T.Helper()
	conf, err := cloud.Load(filepath.Join(m.Home, "cloud.json"))
	if err != nil {
		m.T.Fatal(err)
	}
	return conf
}

// Connect returns the cloud as the layers above see it.
func (m *Machine) Connect() *cloud.Connection {
	m.T.Helper()
	conn, err := cloud.Connect(m.Config())
	if err != nil {
		m.T.Fatal(err)
	}
	return conn
}

func tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(string(data), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
