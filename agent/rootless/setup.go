package rootless

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"frankenetes.dev/agent/protocol"
	"golang.org/x/sys/unix"
)

// Stages is what this program does in namespaces that it was started in.
type Stages struct {
	// Prepare makes what a process needs of files.
	Prepare func(protocol.Process) error
	// Message reads what a process left at its termination message path.
	Message func(path string) string
}

// IsStage reports whether a stage has that name.
func IsStage(name string) bool {
	return slices.Contains([]string{SetupStage, HoldStage, GateStage, TrialStage, KeepStage}, name)
}

// Run is the life of a stage.
func (s Stages) Run(stage string) error {
	switch stage {
	case SetupStage:
		return s.setup()
	case HoldStage:
		return s.hold()
	case GateStage:
		return s.gate()
	case KeepStage:
		return s.keep()
	default:
		return s.trial()
	}
}

// setup mounts what the agent says and turns into the holder.
func (s Stages) setup() error {
	runtime.LockOSThread() // capabilities are a thread's
	c, err := stageConn()
	if err != nil {
		return err
	}
	b, err := c.receiveBegin()
	if err != nil {
		return err
	}
	err = s.furnish(b)
	if err == nil {
		err = b.Bounding.Limit()
	}
	if err != nil {
		return c.send(answerOf(err))
	}
	if err := c.send(answer{}); err != nil {
		return err
	}
	// Executing gives root no more than the limit allows.
	return fmt.Errorf("become the holder: %w", syscall.Exec(self, []string{"agent", HoldStage}, nil))
}

// furnish makes the namespaces what the process is to find.
func (s Stages) furnish(b begin) error {
	p := b.Process
	if p.Exact == nil {
		return errors.New("the process is to have no namespaces")
	}
	if err := isolate(p.Exact.Hostname); err != nil {
		return err
	}
	for i, name := range b.Memory {
		if err := place(b.volumes[i], filepath.Join(b.Dirs.Volumes, name)); err != nil {
			return fmt.Errorf("mount volume %s: %w", name, err)
		}
	}
	closeAll(b.volumes)
	mounts := slices.Clone(p.Exact.Mounts)
	slices.SortStableFunc(mounts, func(a, b protocol.Mount) int { return depth(a.Path) - depth(b.Path) })
	// All sources before the first target: a target may be in the way.
	sources := make([]*os.File, len(mounts))
	defer closeAll(sources)
	for i, m := range mounts {
		var err error
		if sources[i], err = source(b.Dirs.Volumes, m); err != nil {
			return fmt.Errorf("mount %s: volume %s: %w", m.Path, m.Volume, err)
		}
	}
	if err := b.replaceRoot(); err != nil {
		return err
	}
	root, err := openTree("/", unix.RESOLVE_IN_ROOT)
	if err != nil {
		return err
	}
	defer root.dir.Close()
	for i, m := range mounts {
		if err := attach(sources[i], root, m.Path); err != nil {
			return fmt.Errorf("mount %s: %w", m.Path, err)
		}
	}
	if err := s.Prepare(p); err != nil {
		return err
	}
	if p.Exact.ReadOnlyRoot {
		if err := setReadOnly(unix.AT_FDCWD, "/", 0); err != nil {
			return fmt.Errorf("make root file system read-only: %w", err)
		}
	}
	return nil
}

// replaceRoot makes the root file system that the process sees, without the
// agent's directories.
func (b begin) replaceRoot() error {
	if b.Process.Exact.OwnRoot {
		return enterRoot(b.Store)
	}
	if b.Store != "" {
		var targets []string
		for _, m := range b.Process.Exact.Mounts {
			targets = append(targets, path.Clean(m.Path))
		}
		if err := composeRoot(b.Store, b.Dirs, targets); err != nil {
			return err
		}
	}
	return errors.Join(cover(b.Dirs.Root), cover(b.Dirs.Volumes))
}

// place mounts a directory among the agent's own.
func place(mount *os.File, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return unix.MoveMount(int(mount.Fd()), "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

func depth(p string) int { return strings.Count(path.Clean("/"+p), "/") }

// isolate keeps what is mounted from here on to these namespaces, and gives
// them their name.
func isolate(hostname string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if hostname == "" {
		return nil
	}
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("set host name %q: %w", hostname, err)
	}
	return nil
}

// source is a mount, attached nowhere yet, of what is at a path in a volume.
// A directory is made where there is nothing.
func source(volumes string, m protocol.Mount) (*os.File, error) {
	volume, err := openTree(path.Join(volumes, m.Volume), unix.RESOLVE_BENEATH)
	if err != nil {
		return nil, err
	}
	defer volume.dir.Close()
	info, err := volume.dir.Stat()
	if err != nil {
		return nil, err
	}
	at, err := volume.openOrMake(m.SubPath, true, info.Mode())
	if err != nil {
		return nil, err
	}
	defer at.Close()
	return clone(at, m.ReadOnly)
}

// clone is a mount of a file or directory.
func clone(at *os.File, readOnly bool) (*os.File, error) {
	fd, err := unix.OpenTree(int(at.Fd()), "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, fmt.Errorf("clone mount: %w", err)
	}
	mount := os.NewFile(uintptr(fd), at.Name())
	if readOnly {
		if err := setReadOnly(fd, "", unix.AT_EMPTY_PATH); err != nil {
			return nil, errors.Join(fmt.Errorf("make mount read-only: %w", err), mount.Close())
		}
	}
	return mount, nil
}

func setReadOnly(dir int, name string, flags uint) error {
	return unix.MountSetattr(dir, name, flags, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
}

// attach mounts what was cloned, and makes the place if there is none.
func attach(mount *os.File, root tree, name string) error {
	info, err := mount.Stat()
	if err != nil {
		return err
	}
	target, err := root.openOrMake(name, info.IsDir(), 0o755)
	if err != nil {
		return fmt.Errorf("make mount point: %w", err)
	}
	defer target.Close()
	return unix.MoveMount(int(mount.Fd()), "", int(target.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// cover hides a directory, if it is there, for good: nobody inside may unmount.
func cover(dir string) error {
	err := unix.Mount("none", dir, "tmpfs", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=4k,nr_inodes=2,mode=0555")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("hide %s: %w", dir, err)
	}
	return nil
}
