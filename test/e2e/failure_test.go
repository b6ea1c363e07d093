package e2e

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"frankenetes.dev/test/machine"
)

// TestFailures does to a cluster what goes wrong in life.
func TestFailures(t *testing.T) {
	m := newOperator(t)
	m.part("somebody who is not root", testNotRoot)
	m.part("a port that is taken", testPortTaken)
	m.part("up that is interrupted cleans up", testUpInterrupted)
	m.part("up that takes too long cleans up", testUpTimeout)

	m.Run("up")
	m.part("a daemon that dies", testDaemonDies)
	m.part("pause and resume that are killed", testKilledVerbs)
	m.part("an etcd that cannot start", testBrokenEtcd)
	m.part("a port that is taken meanwhile", testPortTakenMeanwhile)
	m.Run("down", "--yes")
}

// expect calls frankenetes, which must fail as it should.
func (m *operator) expect(code int, says string, args ...string) {
	m.T.Helper()
	out, got := m.Try(args...)
	if got != code || !strings.Contains(out, says) || !strings.Contains(out, "hint: ") {
		m.T.Errorf("frankenetes %s: exit code %d, want %d with %q and a hint\n%s", strings.Join(args, " "), got, code, says, out)
	}
}

func testNotRoot(m *operator) {
	cmd := exec.Command(filepath.Join(m.Bin, "frankenetes"), "up")
	cmd.Env = append(m.Env, "FRANKENETES_HOME=/var/lib/frankenetes-of-nobody")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 6 || !strings.Contains(string(out), "root") {
		m.T.Errorf("exit code %d\n%s", cmd.ProcessState.ExitCode(), out)
	}
}

func testPortTaken(m *operator) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.T.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	m.expect(4, port, "up", "--port", port)
	m.nothingThere()
}

// nothingThere checks that a failed up has left no cluster behind.
func (m *operator) nothingThere() {
	m.T.Helper()
	if out := m.Run("list", "-o", "name"); out != "" {
		m.T.Errorf("there is still %q", out)
	}
	machine.ExpectNothing(m.T, "after a failed up", m.Traces().Groups(m.T))
}

// after starts frankenetes and returns it once it has printed a line with text.
func (m *operator) after(text string, args ...string) *exec.Cmd {
	m.T.Helper()
	cmd := exec.Command(filepath.Join(m.Bin, "frankenetes"), args...)
	cmd.Env = m.Env
	stderr, err := cmd.StderrPipe()
	if err != nil {
		m.T.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.T.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			// Whatever else it prints must not block it.
			go func() {
				for lines.Scan() {
				}
			}()
			return cmd
		}
	}
	_ = cmd.Wait()
	m.T.Fatalf("frankenetes %s ended without saying %q", strings.Join(args, " "), text)
	return nil
}

func testUpInterrupted(m *operator) {
	up := m.after("✓ Certificates", "up")
	if err := up.Process.Signal(os.Interrupt); err != nil {
		m.T.Fatal(err)
	}
	_ = up.Wait()
	if code := up.ProcessState.ExitCode(); code != 130 {
		m.T.Errorf("an interrupted up ends with %d, want 130", code)
	}
	m.nothingThere()
}

func testUpTimeout(m *operator) {
	m.expect(7, "not done after 1s", "up", "--timeout", "1s")
	m.nothingThere()
}

// testDaemonDies kills the cloud's daemon; nothing that runs in the cloud may
// notice, and a new daemon must know it all.
func testDaemonDies(m *operator) {
	m.kubectl("run", "witness", "--image=frankenetes.internal/hello")
	m.kubectl("wait", "pod/witness", "--for=condition=Ready", "--timeout", patience.String())
	m.Kill9()
	m.expect(5, "not running", "status")
	m.Run("cloud", "start")
	var status struct {
		State      string
		Components []struct {
			Name, State string
			Restarts    int
		}
	}
	m.eventually("all components run as before", func() error {
		return json.Unmarshal([]byte(m.Run("status", "-o", "json")), &status)
	})
	if status.State != "Running" {
		m.T.Errorf("status: %+v", status)
	}
	for _, c := range status.Components {
		if c.Restarts != 0 {
			m.T.Errorf("%s was restarted %d times", c.Name, c.Restarts)
		}
	}
	m.eventually("the API server answers", func() error { return m.answered("get", "nodes") })
	if got := m.kubectl("get", "pod", "witness", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"); got != "0" {
		m.T.Errorf("the pod was restarted %s times", got)
	}
}

// answered tells whether kubectl succeeds.
func (m *operator) answered(args ...string) error {
	out, code := m.Try(append([]string{"kubectl"}, args...)...)
	if code != 0 {
		return &exitError{out: out, code: code}
	}
	return nil
}

type exitError struct {
	out  string
	code int
}

func (e *exitError) Error() string { return "exit code " + strconv.Itoa(e.code) + ": " + e.out }

// testKilledVerbs kills pause and resume half way; calling them again must
// finish the job.
func testKilledVerbs(m *operator) {
	kill := func(text, verb string) {
		m.T.Helper()
		cmd := m.after(text, verb)
		if err := cmd.Process.Kill(); err != nil {
			m.T.Fatal(err)
		}
		_ = cmd.Wait()
	}
	marks := m.Traces()
	kill("✓ Node", "pause")
	m.Run("pause")
	machine.ExpectNothing(m.T, "after a pause that was killed and called again", marks.Groups(m.T))
	kill("✓ etcd", "resume")
	m.Run("resume")
	m.kubectl("wait", "pod/witness", "--for=condition=Ready", "--timeout", patience.String())
	kill("✓ API server", "pause")
	m.Run("resume")
	m.kubectl("wait", "pod/witness", "--for=condition=Ready", "--timeout", patience.String())
}

// testBrokenEtcd hides etcd's log from it, which it must refuse to live with,
// and gives it back: nothing may be lost.
func testBrokenEtcd(m *operator) {
	m.Run("pause")
	// Each start gives the store's directory another name.
	log := func() string {
		logs, err := filepath.Glob(filepath.Join(m.Home, "shares", "*", "etcd", "epoch-*", "member", "wal", "*.wal"))
		if err != nil || len(logs) == 0 {
			m.T.Fatalf("etcd's log: %v, %v", logs, err)
		}
		return logs[0]
	}
	whole, err := os.ReadFile(log())
	if err != nil {
		m.T.Fatal(err)
	}
	if err := os.WriteFile(log(), []byte("this is no log"), 0o600); err != nil {
		m.T.Fatal(err)
	}
	m.expect(5, "etcd does not run", "resume")
	m.Run("pause")
	if err := os.WriteFile(log(), whole, 0o600); err != nil {
		m.T.Fatal(err)
	}
	m.Run("resume")
	m.kubectl("wait", "pod/witness", "--for=condition=Ready", "--timeout", patience.String())
}

// testPortTakenMeanwhile takes the port of a paused cluster, which must then
// come back on another, and stay there.
func testPortTakenMeanwhile(m *operator) {
	server := func() string {
		return m.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
	}
	m.Run("pause")
	l, err := net.Listen("tcp", strings.TrimPrefix(server(), "https://"))
	if err != nil {
		m.T.Fatal(err)
	}
	defer l.Close()
	m.expect(4, l.Addr().String()[len("127.0.0.1:"):], "resume")

	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.T.Fatal(err)
	}
	address := other.Addr().String()
	other.Close()
	m.Run("resume", "--port", strings.TrimPrefix(address, "127.0.0.1:"))
	if got := server(); got != "https://"+address {
		m.T.Errorf("the kubeconfig says %s, want https://%s", got, address)
	}
	m.kubectl("wait", "pod/witness", "--for=condition=Ready", "--timeout", patience.String())
}
