package groups

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Each clone has a user id of its own, from a range that nobody is given, so
// that what git is told, or tricked, to read is what everyone may read. The
// ranges of groups begin above it.
const (
	gitUsers     = 1_040_000_000
	gitUserCount = 1_000_000
)

// clone is one run of git. It works in a directory that its user can reach,
// as no directory of the cloud's is.
type clone struct {
	repo    *GitRepo
	scratch string
	user    uint32
}

// gitScratch is where the repository of a volume is cloned to at first.
func gitScratch(uid, volume string) string {
	return filepath.Join("/var/tmp", "frankenetes-git-"+uid+"-"+volume)
}

func (c *clone) work() string        { return filepath.Join(c.scratch, "work") }
func (c *clone) config() string      { return filepath.Join(c.scratch, "config") }
func (c *clone) credentials() string { return filepath.Join(c.scratch, "credentials") }
func (c *clone) remove()             { _ = os.RemoveAll(c.scratch) } // tried again with the deployment

// run clones the repository and checks out its revision.
func (c *clone) run(ctx context.Context) error {
	git, err := findGit()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, gitTimeout, fmt.Errorf("not done after %s", gitTimeout))
	defer cancel()
	if err := c.prepare(); err != nil {
		return fmt.Errorf("prepare to clone: %w", err)
	}
	from := withoutPassword(c.repo.Repository)
	if c.repo.Revision == "" {
		return c.git(ctx, git, "clone", "--", from, c.work())
	}
	if err := c.git(ctx, git, "clone", "--no-checkout", "--", from, c.work()); err != nil {
		return err
	}
	checkout := c.git(ctx, git, "-C", c.work(), "checkout", c.repo.Revision, "--")
	if checkout == nil {
		return nil
	}
	// A commit that is on no branch has to be asked for.
	if c.git(ctx, git, "-C", c.work(), "fetch", "origin", c.repo.Revision) != nil {
		return checkout
	}
	return c.git(ctx, git, "-C", c.work(), "checkout", "--detach", "FETCH_HEAD")
}

// prepare makes the directory, with git's whole configuration.
func (c *clone) prepare() error {
	if err := os.RemoveAll(c.scratch); err != nil {
		return err
	}
	if err := os.Mkdir(c.scratch, 0o700); err != nil { // fails if someone put anything there
		return err
	}
	at, err := url.Parse(c.repo.Repository)
	if err != nil {
		return errors.New("the address of the repository is no URL")
	}
	helper := ""
	if at.User != nil {
		password, _ := at.User.Password()
		line := url.URL{Scheme: at.Scheme, Host: at.Host, User: url.UserPassword(at.User.Username(), password)}
		if err := os.WriteFile(c.credentials(), []byte(line.String()+"\n"), 0o600); err != nil {
			return err
		}
		helper = "\n[credential]\n\thelper = store --file=" + c.credentials()
	}
	if err := os.WriteFile(c.config(), []byte(gitConfig+helper+"\n"), 0o600); err != nil {
		return err
	}
	if !isRoot() {
		return nil
	}
	for _, path := range []string{c.scratch, c.config(), c.credentials()} {
		if err := os.Lchown(path, int(c.user), int(c.user)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// gitConfig allows what a clone needs and nothing else. Whose a repository on
// this host is does not matter to a user to whom none belongs.
const gitConfig = `[safe]
	directory = *
[core]
	hooksPath = /dev/null
	askPass = /bin/false
[init]
	templateDir =
[protocol]
	allow = never
[protocol "file"]
	allow = always
[protocol "http"]
	allow = always
[protocol "https"]
	allow = always
[submodule]
	recurse = false
[fetch]
	recurseSubmodules = false
[gc]
	auto = 0
[maintenance]
	auto = false
[advice]
	detachedHead = false`

// git runs a command of git's. An error has git's own words.
func (c *clone) git(ctx context.Context, git string, args ...string) error {
	cmd := exec.CommandContext(ctx, git, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"HOME=" + c.scratch, "PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + c.config(),
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false", "GIT_ALLOW_PROTOCOL=file:http:https", "GIT_TEMPLATE_DIR="}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if isRoot() {
		// The namespace of processes ends with git, and so does all that git started.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: syscall.CLONE_NEWPID,
			Credential: &syscall.Credential{Uid: c.user, Gid: c.user}}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	said := &ending{most: 2 << 10}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return fmt.Errorf("git %s: %w: %s", subcommand(args), err, strings.TrimSpace(said.String()))
	}
	return nil
}

func subcommand(args []string) string {
	if args[0] == "-C" {
		return args[2]
	}
	return args[0]
}

func isRoot() bool { return os.Geteuid() == 0 }

// ending keeps the end of what is written to it.
type ending struct {
	bytes.Buffer
	most int
}

// Write never fails.
func (e *ending) Write(p []byte) (int, error) {
	e.Buffer.Write(p)
	if more := e.Len() - e.most; more > 0 {
		e.Next(more)
	}
	return len(p), nil
}
