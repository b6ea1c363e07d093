package rootless

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"frankenetes.dev/agent/process"
	"golang.org/x/sys/unix"
)

// Findings are what a trial has found out.
type Findings struct {
	// NoRoom and NoCleanRoot are why neither can be had, nil if it can.
	NoRoom, NoCleanRoot error
}

// Try finds out whether rooms can be had here, and root file systems that
// forget, by doing all that they need: a kernel's version would not tell what
// its operator, a seccomp filter or a container's mounts forbid.
func Try(reaper *process.Reaper, dirs Dirs) Findings {
	if err := try(reaper, begin{Dirs: dirs}); err != nil {
		return Findings{err, err}
	}
	store, err := os.MkdirTemp(dirs.Root, "trial-")
	if err != nil {
		return Findings{NoCleanRoot: err}
	}
	return Findings{NoCleanRoot: errors.Join(try(reaper, begin{Dirs: dirs, Store: store}), os.RemoveAll(store))}
}

// try has a stage do what a room needs, with a root that forgets if there is a
// store.
func try(reaper *process.Reaper, b begin) error {
	if os.Geteuid() != 0 {
		return errors.New("the container does not run as root")
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return err
	}
	defer ours.Close()
	defer theirs.Close()
	child, err := reaper.StartHelper(func() (int, error) { return fork(TrialStage, theirs) })
	if err != nil {
		return fmt.Errorf("make namespaces: %w", err)
	}
	_ = theirs.Close()
	var a answer
	err = ours.call(request{Begin: &b}, &a, openPatience)
	if err != nil {
		_ = child.Signal(unix.SIGKILL)
		err = fmt.Errorf("await trial: %w", err)
	} else if a.Error != "" {
		err = errors.New(a.Error)
	}
	<-child.Done()
	return err
}

// PortsAreFree reports whether every user may listen on every port. Where not,
// a process in a room cannot on those below 1024: the network is the group's,
// and power over it ends at the room's user namespace.
func PortsAreFree() bool {
	first, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	return err == nil && strings.TrimSpace(string(first)) == "0"
}

// trial does what a room needs, and says how it went. All of it ends with this
// process.
func (s Stages) trial() error {
	c, err := stageConn()
	if err != nil {
		return err
	}
	b, err := c.receiveBegin()
	if err != nil {
		return err
	}
	if b.Store != "" {
		return c.send(answerOf(errors.Join(isolate(""), composeRoot(b.Store, b.Dirs, nil))))
	}
	return c.send(answerOf(tryMounts(b.Dirs.Root)))
}

func tryMounts(dir string) error {
	if err := isolate("trial"); err != nil {
		return err
	}
	if err := unix.Mount("none", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=64k"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := errors.Join(os.Mkdir(from, 0o755), os.Mkdir(to, 0o755), os.Chown(from, 1, 1)); err != nil {
		return err
	}
	at, err := os.OpenFile(from, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer at.Close()
	mount, err := clone(at, true)
	if err != nil {
		return err
	}
	defer mount.Close()
	root, err := openTree("/", unix.RESOLVE_IN_ROOT)
	if err != nil {
		return err
	}
	defer root.dir.Close()
	if err := attach(mount, root, to); err != nil {
		return fmt.Errorf("attach mount: %w", err)
	}
	if err := os.Mkdir(filepath.Join(to, "more"), 0o755); !errors.Is(err, unix.EROFS) {
		return fmt.Errorf("a mount that is read-only takes writes: %w", err)
	}
	if err := setReadOnly(unix.AT_FDCWD, "/", 0); err != nil {
		return fmt.Errorf("make root file system read-only: %w", err)
	}
	return nil
}
