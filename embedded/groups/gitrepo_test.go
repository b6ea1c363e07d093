package groups

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"frankenetes.dev/embedded/arm"
)

// repository makes a repository with two commits, of which the first has the
// tag v1, and returns its directory.
func repository(t *testing.T) string {
	t.Helper()
	if _, err := findGit(); err != nil {
		t.Skip(err)
	}
	parent := t.TempDir()
	if err := os.Chmod(filepath.Dir(parent), 0o755); err != nil { // git is run as someone else
		t.Fatal(err)
	}
	dir := filepath.Join(parent, "site.git")
	git := func(args ...string) {
		cmd := exec.Command("git", args...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git("init", "--quiet", "--initial-branch=main", dir)
	write("first")
	if err := errors.Join(os.Symlink("/etc/shadow", filepath.Join(dir, "link")), os.WriteFile(filepath.Join(dir, "run"), []byte("#!"), 0o755)); err != nil {
		t.Fatal(err)
	}
	git("-C", dir, "add", ".")
	git("-C", dir, "commit", "--quiet", "-m", "first")
	git("-C", dir, "tag", "v1")
	write("second")
	git("-C", dir, "commit", "--quiet", "-a", "-m", "second")
	git("-C", dir, "update-server-info")
	return dir
}

// cloner returns a deployment that can clone.
func cloner(t *testing.T) *deployment {
	e := &engine{paths: Paths{Volumes: t.TempDir(), Memory: t.TempDir()}}
	d := &deployment{engine: e, uid: newUID()}
	t.Cleanup(func() {
		if err := e.removeVolumes(d.uid); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(gitScratch(d.uid, "*")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	return d
}

func TestARepositoryIsCloned(t *testing.T) {
	at := "file://" + repository(t)
	d := cloner(t)
	for name, c := range map[string]struct {
		repo       GitRepo
		file, want string
	}{
		"named":     {GitRepo{Repository: at}, "site/index.html", "second"},
		"rooted":    {GitRepo{Repository: at, Directory: "."}, "index.html", "second"},
		"elsewhere": {GitRepo{Repository: at, Directory: "a/b"}, "a/b/index.html", "second"},
		"tagged":    {GitRepo{Repository: at, Directory: ".", Revision: "v1"}, "index.html", "first"},
		"branched":  {GitRepo{Repository: at, Directory: ".", Revision: "main"}, "index.html", "second"},
	} {
		dir, err := d.gitRepo(t.Context(), Volume{Name: name, GitRepo: &c.repo})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := os.ReadFile(filepath.Join(dir, c.file)); err != nil || string(got) != c.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if again, err := d.gitRepo(t.Context(), Volume{Name: name, GitRepo: &GitRepo{Repository: "file:///gone"}}); err != nil || again != dir {
			t.Errorf("%s: what is there was not kept: %v", name, err)
		}
	}
	root := filepath.Join(d.engine.volumeDir(d.uid), "rooted")
	if to, err := os.Readlink(filepath.Join(root, "link")); err != nil || to != "/etc/shadow" {
		t.Errorf("the link is to %q, %v", to, err)
	}
	if info, err := os.Stat(filepath.Join(root, "run")); err != nil {
		t.Error(err)
	} else if info.Mode() != 0o755 {
		t.Errorf("the program's mode is %v", info.Mode())
	}
}

func TestARepositoryWithAPassword(t *testing.T) {
	dir := repository(t)
	files := http.FileServer(http.Dir(filepath.Dir(dir)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "pass/word" {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	d := cloner(t)
	repo := func(credential string) *GitRepo {
		return &GitRepo{Repository: strings.Replace(server.URL, "http://", "http://"+credential, 1) + "/site.git/.git", Directory: "."}
	}
	at, err := d.gitRepo(t.Context(), Volume{Name: "private", GitRepo: repo("me:pass%2Fword@")})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(at, "index.html")); err != nil || string(got) != "second" {
		t.Errorf("%q, %v", got, err)
	}
	if config, err := os.ReadFile(filepath.Join(at, ".git", "config")); err != nil || strings.Contains(string(config), "word") {
		t.Errorf("the clone has the password: %s, %v", config, err)
	}
	_, err = d.gitRepo(t.Context(), Volume{Name: "wrong", GitRepo: repo("me:guess@")})
	if err == nil || strings.Contains(err.Error(), "guess") || !strings.Contains(err.Error(), "Authentication failed") {
		t.Errorf("with a wrong password: %v", err)
	}
	if _, err := os.Lstat(filepath.Join(d.engine.volumeDir(d.uid), "wrong")); err == nil {
		t.Error("a clone that failed left a volume")
	}
}

func TestGitReadsWhatEveryoneMayRead(t *testing.T) {
	if !isRoot() {
		t.Skip("only root can be someone else")
	}
	dir := repository(t)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := cloner(t).gitRepo(t.Context(), Volume{Name: "private", GitRepo: &GitRepo{Repository: "file://" + dir}}); err == nil {
		t.Error("a directory of root's alone was cloned")
	}
}

func TestRepositoriesThatAreRefused(t *testing.T) {
	for _, c := range []GitRepo{
		{}, {Repository: "ssh://git@example.com/a.git"}, {Repository: "git@example.com:a.git"}, {Repository: "ext::sh -c id"}, {Repository: "--upload-pack=id"},
		{Repository: "/srv/a.git"}, {Repository: "file://host/a.git"}, {Repository: "https:///a.git"}, {Repository: "https://example.com"},
		{Repository: "https://example.com/a b.git"}, {Repository: "https://me:secret%zz@example.com/a.git"},
		{Repository: "https://example.com/a.git", Directory: "../a"}, {Repository: "https://example.com/a.git", Directory: "/a"},
		{Repository: "https://example.com/a.git", Revision: "--all"}, {Repository: "https://example.com/a.git", Revision: "a b"},
	} {
		var refusal *arm.Error
		if err := checkGitRepo("volume", "group", &c); !errors.As(err, &refusal) || refusal.Code != "InvalidGitRepoVolume" || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []GitRepo{{Repository: "https://me:token@example.com/a.git", Revision: "v1", Directory: "."}, {Repository: "file:///srv/a"}} {
		if err := checkGitRepo("volume", "group", &c); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
