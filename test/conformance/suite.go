package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// grace is how long an interrupted suite may take to remove what its tests
// made.
const grace = 3 * time.Minute

// Suite runs tests of Kubernetes' suite against a cluster.
type Suite struct {
	// Programs is where e2e.test, ginkgo and kubectl are.
	Programs string
	// Kubeconfig is that of the cluster, which has Nodes nodes.
	Kubeconfig string
	Nodes      int
	// Output is a directory for what the suite writes; it is made.
	Output string
}

// Run runs the tests, procs of them at a time, and gives each result to ended
// as it comes, and again when there is more to say of it. What the suite prints
// is in Output, in NAME.log. A test that fails is no error; one that has no
// result at the end, because the run was interrupted, has none.
func (s Suite) Run(ctx context.Context, name string, tests []Test, procs int, ended func(Result)) error {
	if len(tests) == 0 {
		return nil
	}
	for _, dir := range []string{s.Output, s.home()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("run the suite: %w", err)
		}
	}
	report := filepath.Join(s.Output, name+".json")
	if err := os.RemoveAll(report); err != nil {
		return fmt.Errorf("run the suite: %w", err)
	}
	following := &follower{first: procs == 1, ended: ended}
	for _, t := range tests {
		following.names = append(following.names, t.Name)
	}
	ran := s.ginkgo(ctx, name, following, s.arguments(name, tests, procs))
	if err := readReport(report, ended); err != nil {
		return errors.Join(ran, err)
	}
	// It says by an exit code that tests failed, which the report has told.
	if code := (*exec.ExitError)(nil); errors.As(ran, &code) && ctx.Err() == nil {
		return nil
	}
	return ran
}

// ginkgo runs ginkgo until it ends. When ctx does, it is interrupted as by a
// terminal, so that the tests that run remove what they made.
func (s Suite) ginkgo(ctx context.Context, name string, out io.Writer, args []string) error {
	log, err := os.OpenFile(filepath.Join(s.Output, name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("run the suite: %w", err)
	}
	defer log.Close()
	cmd := exec.CommandContext(ctx, filepath.Join(s.Programs, "ginkgo"), args...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(log, out), log
	// Not the user's own: kubectl keeps a cache in it.
	cmd.Env = append(os.Environ(), "KUBECONFIG="+s.Kubeconfig, "HOME="+s.home())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = grace
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run ginkgo (its log is %s): %w", log.Name(), err)
	}
	return nil
}

// home is the home directory of the programs of the suite.
func (s Suite) home() string { return filepath.Join(s.Output, "home") }

// arguments are those of ginkgo and, after the two hyphens, of the suite.
func (s Suite) arguments(name string, tests []Test, procs int) []string {
	args := []string{
		"-v", "--no-color", "--silence-skips", "--timeout=24h", "--procs=" + strconv.Itoa(procs),
		"--output-dir=" + s.Output, "--json-report=" + name + ".json",
	}
	for _, t := range tests {
		args = append(args, "--focus="+regexp.QuoteMeta(t.Name)+"$")
	}
	return append(args, filepath.Join(s.Programs, "e2e.test"), "--",
		"--provider=skeleton", "--kubeconfig="+s.Kubeconfig, "--kubectl-path="+filepath.Join(s.Programs, "kubectl"),
		"--num-nodes="+strconv.Itoa(s.Nodes),
		// The cluster is ready, and has no pods of its own to wait for.
		"--allowed-not-ready-nodes=-1", "--minStartupPods=-1",
		"--disable-log-dump", "--dump-logs-on-failure=false",
		"--e2e-output-dir="+s.Output,
	)
}
