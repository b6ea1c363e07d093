package groups

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"
)

// gitTimeout bounds a clone.
const gitTimeout = 10 * time.Minute

// errNoGit is why a repository cannot be cloned on a host without git.
var errNoGit = errors.New(`git is not installed on this host: install the package "git"`)

// checkGitRepo refuses a repository that is not to be cloned, because of its
// address, or because of where in the volume it should go.
func checkGitRepo(volume, group string, r *GitRepo) error {
	refuse := func(format string, args ...any) error {
		return invalid("InvalidGitRepoVolume", "The volume '%s' in container group '%s' is invalid: %s.", volume, group, fmt.Sprintf(format, args...))
	}
	at, err := url.Parse(r.Repository)
	switch {
	case r.Repository == "":
		return refuse("it needs the address of a repository")
	case err != nil || strings.ContainsFunc(r.Repository, func(c rune) bool { return c <= ' ' || c == 0x7f }):
		return refuse("the address of its repository is no URL") // not repeated: it may have a password
	case at.Scheme != "file" && at.Scheme != "http" && at.Scheme != "https":
		return refuse("its repository must be at a URL with one of the schemes https, http and file, not '%s'", at.Scheme)
	case at.Scheme != "file" && at.Hostname() == "":
		return refuse("the address of its repository has no host")
	case at.Scheme == "file" && (at.Host != "" || !path.IsAbs(at.Path)):
		return refuse("the address of its repository has no absolute path")
	case r.directory() == "":
		return refuse("its directory must be below the volume")
	case strings.HasPrefix(r.Revision, "-") || strings.ContainsAny(r.Revision, " \t\r\n\x00"):
		return refuse("its revision '%s' is none", r.Revision)
	}
	return nil
}

// directory is where in the volume the repository goes, "." for its root, or
// empty when that would not be inside.
func (r *GitRepo) directory() string {
	directory := r.Directory
	if directory == "" {
		at, _ := url.Parse(r.Repository)
		if at == nil {
			return ""
		}
		directory = strings.TrimSuffix(path.Base(at.Path), ".git")
		if directory == "." || directory == "/" {
			return ""
		}
	}
	if !filepath.IsLocal(directory) || strings.ContainsAny(directory, "\x00") {
		return ""
	}
	return filepath.Clean(directory)
}

// withoutPassword returns an address of a repository as it may be told.
func withoutPassword(repository string) string {
	at, err := url.Parse(repository)
	if err != nil {
		return ""
	}
	at.User = nil
	return at.String()
}

// gitRepo clones a volume's repository, unless it is there from before, and
// returns its directory. What is cloned is all there or not there at all.
func (d *deployment) gitRepo(ctx context.Context, volume Volume) (string, error) {
	dir := filepath.Join(d.engine.volumeDir(d.uid), volume.Name)
	if _, err := os.Lstat(dir); err == nil {
		return dir, nil
	}
	partial := filepath.Join(d.engine.volumeDir(d.uid), ".partial-"+volume.Name)
	if err := errors.Join(os.RemoveAll(partial), os.MkdirAll(partial, 0o700)); err != nil {
		return "", err
	}
	c := clone{repo: volume.GitRepo, scratch: gitScratch(d.uid, volume.Name), user: gitUsers + d.engine.clones.Add(1)%gitUserCount}
	defer c.remove()
	if err := c.run(ctx); err != nil {
		return "", err
	}
	into := filepath.Join(partial, volume.GitRepo.directory())
	if err := os.MkdirAll(into, 0o755); err != nil {
		return "", err
	}
	if err := copyTree(c.work(), into); err != nil {
		return "", fmt.Errorf("copy the clone: %w", err)
	}
	if err := os.Chmod(partial, 0o777); err != nil { // as an emptyDir has it
		return "", err
	}
	return dir, os.Rename(partial, dir)
}

// removeScratch removes what a clone that was interrupted has left.
func removeScratch(uid string) error {
	left, err := filepath.Glob(gitScratch(uid, "*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// findGit returns the path of git.
func findGit() (string, error) {
	git, err := exec.LookPath("git")
	if err != nil {
		return "", errNoGit
	}
	return git, nil
}
