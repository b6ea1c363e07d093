package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"frankenetes.dev/cloud"
)

// patience is how long anything may take on a slow and busy machine.
const patience = 5 * time.Minute

// machine is a cloud of the test's own, with the command line that drives it.
type machine struct {
	t    *testing.T
	bin  string
	home string
	env  []string
}

// newMachine prepares a directory for a cloud and removes every trace of it
// when the test ends, however it ends.
func newMachine(t *testing.T) *machine {
	t.Helper()
	bin := os.Getenv("FRANKENETES_BIN")
	if bin == "" || os.Geteuid() != 0 {
		t.Fatal("end-to-end tests need root and the binaries: call them by `make e2e`")
	}
	dir := t.TempDir()
	m := &machine{t: t, bin: bin, home: filepath.Join(dir, "cloud")}
	m.env = append(os.Environ(),
		"FRANKENETES_HOME="+m.home,
		"FRANKENETES_CLOUD=local",
		"KUBECONFIG="+filepath.Join(dir, "kubeconfig"),
		"HOME="+dir,
		"SUDO_USER=",
	)
	t.Cleanup(m.stop)
	return m
}

// part runs one part of a test's story; where it fails, the story ends.
func (m *machine) part(name string, fn func(m *machine)) {
	m.t.Helper()
	ok := m.t.Run(name, func(t *testing.T) {
		sub := *m
		sub.t = t
		fn(&sub)
	})
	if !ok {
		m.t.FailNow()
	}
}

// stop ends the cloud; what a failed test has made ends with it.
func (m *machine) stop() {
	if m.t.Failed() {
		m.t.Logf("cloud log:\n%s", tail(filepath.Join(m.home, "cloud.log"), 60))
	}
	if out, code := m.try("cloud", "stop"); code != 0 {
		m.t.Errorf("cloud stop: exit code %d\n%s", code, out)
	}
}

// run calls frankenetes, which must succeed, and returns its standard output.
func (m *machine) run(args ...string) string {
	m.t.Helper()
	stdout, stderr, code := m.call(nil, "frankenetes", args...)
	if code != 0 {
		m.t.Fatalf("frankenetes %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	if stderr != "" {
		m.t.Logf("frankenetes %s\n%s", strings.Join(args, " "), stderr)
	}
	return stdout
}

// try calls frankenetes and returns all that it prints, and its exit code.
func (m *machine) try(args ...string) (string, int) {
	stdout, stderr, code := m.call(nil, "frankenetes", args...)
	return stdout + stderr, code
}

// kubectl calls kubectl, which must succeed, and returns its standard output.
func (m *machine) kubectl(args ...string) string {
	m.t.Helper()
	return m.kubectlWith(nil, args...)
}

// kubectlWith is kubectl with something to read.
func (m *machine) kubectlWith(stdin io.Reader, args ...string) string {
	m.t.Helper()
	stdout, stderr, code := m.call(stdin, "frankenetes", append([]string{"kubectl"}, args...)...)
	if code != 0 {
		m.t.Fatalf("kubectl %s: exit code %d\n%s%s\n%s", strings.Join(args, " "), code, stdout, stderr, m.describe())
	}
	return stdout
}

// describe is what one wants to know when something does not work.
func (m *machine) describe() string {
	pods, _, _ := m.call(nil, "frankenetes", "kubectl", "get", "pods", "-A", "-o", "wide")
	events, _, _ := m.call(nil, "frankenetes", "kubectl", "get", "events", "-A", "--sort-by=.lastTimestamp")
	node, _, _ := m.call(nil, "frankenetes", "logs", "virtual-kubelet", "--tail", "40")
	return pods + "\n" + events + "\n" + node
}

func (m *machine) call(stdin io.Reader, program string, args ...string) (stdout, stderr string, code int) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(m.bin, program), args...)
	cmd.Env, cmd.Stdin = m.env, stdin
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		return "", err.Error(), -1
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// apply applies a manifest of testdata.
func (m *machine) apply(name string) {
	m.t.Helper()
	m.kubectl("apply", "-f", filepath.Join("testdata", name))
}

// get decodes what kubectl knows of an object.
func (m *machine) get(v any, args ...string) {
	m.t.Helper()
	out := m.kubectl(append(append([]string{"get"}, args...), "-o", "json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		m.t.Fatalf("kubectl get %s: %v", strings.Join(args, " "), err)
	}
}

// eventually calls check until it returns nothing to complain of.
func (m *machine) eventually(what string, check func() error) {
	m.t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	m.t.Fatalf("%s: %v\n%s", what, err, m.describe())
}

// connect returns the cloud as the layers above see it.
func (m *machine) connect() *cloud.Connection {
	m.t.Helper()
	conf, err := cloud.Load(filepath.Join(m.home, "cloud.json"))
	if err != nil {
		m.t.Fatal(err)
	}
	conn, err := cloud.Connect(conf)
	if err != nil {
		m.t.Fatal(err)
	}
	return conn
}

// address is where a group of a cluster can be reached from this machine.
func (m *machine) address(resourceGroup, group string) string {
	m.t.Helper()
	g, err := m.connect().GetGroup(context.Background(), resourceGroup, group)
	if err != nil || g == nil || g.Properties.IPAddress == nil || g.Properties.IPAddress.IP == nil {
		m.t.Fatalf("address of %s/%s: %+v, %v", resourceGroup, group, g, err)
	}
	return *g.Properties.IPAddress.IP
}

func tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(string(data), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// pods are the parts of a list of pods that the tests look at.
type pods struct {
	Items []pod `json:"items"`
}

type pod struct {
	Metadata struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	} `json:"metadata"`
	Status struct {
		Phase string `json:"phase"`
		PodIP string `json:"podIP"`
	} `json:"status"`
}

func (p pod) String() string {
	return fmt.Sprintf("%s (%s, %s)", p.Metadata.Name, p.Status.Phase, p.Status.PodIP)
}
