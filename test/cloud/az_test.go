package cloudtest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"frankenetes.dev/test/machine"
)

// azure is the az command line, signed in to a cloud.
type azure struct {
	*localCloud
	env []string
}

// newAzure points az at the cloud as `frankenetes cloud env` says, but by way
// of the front, and signs in.
func newAzure(c *localCloud) *azure {
	c.T.Helper()
	if _, err := exec.LookPath("az"); err != nil {
		c.T.Skip("AZ IS NOT TESTED: there is no az on this machine; Debian and Ubuntu have it as package azure-cli (hack/azure-cli installs it)")
	}
	vars := c.environment()
	dir := c.T.TempDir()
	a := &azure{localCloud: c, env: c.Env}
	for _, name := range []string{"REQUESTS_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE"} {
		vars[name] = a.trust(filepath.Join(dir, name), vars[name])
	}
	vars["AZURE_CONFIG_DIR"] = a.configure(filepath.Join(dir, "azure"), vars["AZURE_CONFIG_DIR"])
	vars["AZURE_CORE_ONLY_SHOW_ERRORS"] = "true"
	for name, value := range vars {
		a.env = append(a.env, name+"="+value)
	}
	a.run("login", "--service-principal", "-u", vars["AZURE_CLIENT_ID"], "-p", vars["AZURE_CLIENT_SECRET"], "--tenant", "adfs")
	if c.T.Failed() {
		c.T.FailNow()
	}
	return a
}

// environment returns what a shell has after eval "$(frankenetes cloud env)".
func (c *localCloud) environment() map[string]string {
	c.T.Helper()
	const list = `eval "$("$0" cloud env)" && env -0`
	cmd := exec.CommandContext(c.ctx(), "sh", "-c", list, filepath.Join(c.Bin, "frankenetes"))
	cmd.Env = c.Env
	out, err := cmd.Output()
	if err != nil {
		c.T.Fatalf("cloud env: %v", err)
	}
	before := map[string]bool{}
	for _, assignment := range c.Env {
		before[assignment] = true
	}
	vars := map[string]string{}
	for assignment := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if name, value, ok := strings.Cut(assignment, "="); ok && !before[assignment] {
			vars[name] = value
		}
	}
	return vars
}

// trust writes a bundle that trusts the front too.
func (a *azure) trust(to, from string) string {
	a.T.Helper()
	bundle, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, append(bundle, a.front.config.CA...), 0o600)
	}
	if err != nil {
		a.T.Fatal(err)
	}
	return to
}

// configure copies az's configuration, with the front in the cloud's place.
func (a *azure) configure(to, from string) string {
	a.T.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		a.T.Fatal(err)
	}
	file := filepath.Join(to, "clouds.config")
	clouds, err := os.ReadFile(file)
	if err != nil {
		a.T.Fatal(err)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(clouds)) {
		// What a token is for stays what it was.
		if !strings.Contains(line, "_resource_id") {
			line = strings.ReplaceAll(line, a.Config().ResourceManager, a.front.config.ResourceManager)
		}
		kept.WriteString(line)
	}
	if err := os.WriteFile(file, []byte(kept.String()), 0o600); err != nil {
		a.T.Fatal(err)
	}
	return to
}

// part runs one part of the story; where it fails, the story ends.
func (a *azure) part(name string, fn func(a *azure)) {
	a.T.Helper()
	a.localCloud.part(name, func(c *localCloud) { fn(&azure{localCloud: c, env: a.env}) })
}

// run calls az, which must succeed, and returns its standard output.
func (a *azure) run(args ...string) string {
	a.T.Helper()
	stdout, stderr, code := a.try(args...)
	if code != 0 {
		a.T.Errorf("az %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// try calls az and returns what it prints, and its exit code.
func (a *azure) try(args ...string) (stdout, stderr string, code int) {
	a.T.Helper()
	ctx, cancel := context.WithTimeout(a.T.Context(), machine.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "az", args...)
	cmd.Env = a.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		a.T.Errorf("az %s: %v", strings.Join(args, " "), err)
		return "", "", -1
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// decode calls az, which must print JSON, and decodes it.
func (a *azure) decode(v any, args ...string) {
	a.T.Helper()
	if out := a.run(append(args, "-o", "json")...); json.Unmarshal([]byte(out), v) != nil {
		a.T.Errorf("az %s printed no JSON of the right shape: %q", strings.Join(args, " "), out)
	}
}

// fails calls az, which must fail, and say why.
func (a *azure) fails(says string, args ...string) {
	a.T.Helper()
	stdout, stderr, code := a.try(args...)
	if code == 0 || !strings.Contains(stderr, says) || strings.Contains(stderr, "Traceback") {
		a.T.Errorf("az %s: exit code %d, want a failure that says %q\n%s%s", strings.Join(args, " "), code, says, stdout, stderr)
	}
}

// terminal calls az on a terminal, which its exec insists on, and types when
// the prompt has appeared.
func (a *azure) terminal(prompt, typed string, args ...string) string {
	a.T.Helper()
	for i, arg := range args {
		args[i] = "'" + arg + "'"
	}
	line := "az " + strings.Join(args, " ")
	cmd := exec.CommandContext(a.ctx(), "script", "-qec", line, "/dev/null")
	cmd.Env = a.env
	keyboard, err := cmd.StdinPipe()
	if err != nil {
		a.T.Error(err)
		return ""
	}
	defer keyboard.Close()
	heard := a.listen(cmd, prompt, func() { _, _ = keyboard.Write([]byte(typed)) })
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		a.T.Errorf("%s: exit code %d\n%s", line, code, heard)
	}
	return heard
}

// until calls az and ends it when it has printed something.
func (a *azure) until(text string, args ...string) string {
	a.T.Helper()
	cmd := exec.CommandContext(a.ctx(), "az", args...)
	cmd.Env = append(a.env, "PYTHONUNBUFFERED=1")
	return a.listen(cmd, text, func() { _ = cmd.Process.Kill() })
}

// listen runs a command, acts once it has printed a text, and returns all that
// it printed when it has ended.
func (a *azure) listen(cmd *exec.Cmd, text string, act func()) string {
	a.T.Helper()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		a.T.Errorf("%s: %v", cmd, err)
		return ""
	}
	var heard strings.Builder
	acted := false
	for buffer := make([]byte, 4096); err == nil; {
		var n int
		n, err = out.Read(buffer)
		heard.Write(buffer[:n])
		if !acted && strings.Contains(heard.String(), text) {
			acted = true
			act()
		}
	}
	_ = cmd.Wait() // its exit code is the caller's affair
	if !acted {
		a.T.Errorf("%s did not print %q, but\n%s", cmd, text, heard.String())
	}
	return heard.String()
}

// together runs what does not depend on each other side by side: az takes its
// time to start.
func together(all ...func()) {
	var wg sync.WaitGroup
	for _, fn := range all {
		wg.Go(fn)
	}
	wg.Wait()
}
