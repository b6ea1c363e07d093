package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"frankenetes.dev/agent/protocol"
	"golang.org/x/sys/unix"
)

// defaultPath is PATH for a program whose image gives none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Setting is what the first process of a container and the commands executed
// beside it have in common: environment, directory, user and limits.
type Setting struct {
	env []string
	dir string
	id  identity
	// credential is nil if the agent's own user is meant.
	credential *syscall.Credential
	noNewPrivs bool
	// limits is nil for as many capabilities as the container has.
	limits *Capabilities
	// cloneFlags say whose children its programs are, see Siblings.
	cloneFlags uintptr
}

// NewSetting looks up the user in the container's files.
func NewSetting(p protocol.Process) (*Setting, error) {
	id, err := lookUp("/etc", p.User)
	if err != nil {
		return nil, err
	}
	s := &Setting{env: slices.Clone(p.Env), dir: p.Dir, id: id, noNewPrivs: p.NoNewPrivileges}
	if s.credential, err = id.credential(); err != nil {
		return nil, err
	}
	if len(p.DropCapabilities)+len(p.AddCapabilities) > 0 {
		limits, err := allowed(p.DropCapabilities, p.AddCapabilities)
		if err != nil {
			return nil, err
		}
		s.limits = &limits
	}
	if s.dir == "" {
		s.dir = "/"
	}
	home := id.home
	if home == "" {
		home = "/"
	}
	s.setDefault("HOME", home)
	s.setDefault("PATH", defaultPath)
	return s, nil
}

// UID is the number of the user.
func (s *Setting) UID() int { return int(s.id.uid) }

// Siblings returns a setting whose programs are children of this process's
// parent, which waits for them.
func (s *Setting) Siblings() *Setting {
	t := *s
	t.cloneFlags = unix.CLONE_PARENT
	return &t
}

// environment is that of a program, which may have a terminal.
func (s *Setting) environment(terminal bool) []string {
	if _, ok := s.variable("TERM"); ok || !terminal {
		return s.env
	}
	return append(slices.Clone(s.env), "TERM=xterm")
}

func (s *Setting) setDefault(name, value string) {
	if _, ok := s.variable(name); !ok {
		s.env = append(s.env, name+"="+value)
	}
}

// variable returns an environment variable; the last of several counts.
func (s *Setting) variable(name string) (string, bool) {
	for _, entry := range slices.Backward(s.env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

// credential returns what to change to, or nil if that is what we are already.
func (i identity) credential() (*syscall.Credential, error) {
	if os.Geteuid() == 0 {
		return &syscall.Credential{Uid: i.uid, Gid: i.gid, Groups: i.groups}, nil
	}
	if int(i.uid) != os.Geteuid() || int(i.gid) != os.Getegid() {
		return nil, fmt.Errorf("container runs as user %d:%d, so nothing can be run as user %d:%d in it",
			os.Geteuid(), os.Getegid(), i.uid, i.gid)
	}
	ours, err := os.Getgroups()
	if err != nil {
		return nil, fmt.Errorf("read own groups: %w", err)
	}
	for _, g := range i.groups {
		if g != i.gid && !slices.Contains(ours, int(g)) {
			return nil, fmt.Errorf("container does not run as root, so nothing can be given group %d in it", g)
		}
	}
	return nil, nil
}

// find returns the path of a program: one with a slash as it is, seen from the
// working directory; others looked up in the program's own PATH. The errors
// are those that users of containers know.
func (s *Setting) find(name string) (string, error) {
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.dir, path)
		}
		if err := executable(path); err != nil {
			return "", fmt.Errorf("exec: %q: %w", name, err)
		}
		return path, nil
	}
	search, _ := s.variable("PATH")
	denied := false
	for _, dir := range filepath.SplitList(search) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(s.dir, dir)
		}
		path := filepath.Join(dir, name)
		err := executable(path)
		if err == nil && name != "" {
			return path, nil
		}
		denied = denied || errors.Is(err, fs.ErrPermission)
	}
	if denied {
		return "", fmt.Errorf("exec: %q: %w", name, fs.ErrPermission)
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", name)
}

func executable(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("is a directory")
	case info.Mode()&0o111 == 0:
		return fs.ErrPermission
	}
	return nil
}
