package rootless

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// composer makes a root file system that looks like the container's and keeps
// what is written to it elsewhere, to be thrown away.
//
// One overlay over the whole of the container's root would be simplest. The
// kernel forbids it: in a user namespace of its own, nobody may see what is
// under a mount (/proc, /etc/hosts) that was there before. So each directory
// without such mounts below gets an overlay of its own, and those on the way
// to mounts are made anew, with copies of the files that are right in them. A
// directory with little in it is copied too, which takes less time.
type composer struct {
	// store is a directory for what is written, root the new root in it.
	store, root string
	// mounts are where something is mounted, hidden what is to be left out,
	// and targets where something else will be mounted.
	mounts, hidden, targets []string
	overlays                int
}

const (
	// largest is the size, in bytes, of a file that is copied. A larger one is
	// shown as it is, and cannot be written to.
	largest = 1 << 20
	// littleFiles and littleBytes are how much is little.
	littleFiles, littleBytes = 8, 64 << 10
)

// composeRoot replaces the root file system, and keeps what is written in a
// directory that is there. Where something will be mounted, it makes room.
func composeRoot(store string, dirs Dirs, targets []string) error {
	mounts, err := mountPoints()
	if err != nil {
		return err
	}
	c := &composer{
		store: store, root: filepath.Join(store, "root"),
		mounts: mounts, hidden: []string{dirs.Root, dirs.Volumes}, targets: targets,
	}
	if err := makeLike("/", c.root); err != nil {
		return err
	}
	if err := unix.Mount(c.root, c.root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount new root: %w", err)
	}
	if err := c.directory("/"); err != nil {
		return err
	}
	return pivot(c.root)
}

// enterRoot replaces the root file system by a directory's, which finds there
// what the kernel has to say: no image has that.
func enterRoot(dir string) error {
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount new root: %w", err)
	}
	// Links of the image's own must not lead these mounts elsewhere.
	root, err := openTree(dir, unix.RESOLVE_IN_ROOT)
	if err != nil {
		return err
	}
	defer root.dir.Close()
	for _, name := range []string{"/proc", "/sys", "/dev"} {
		fd, err := unix.OpenTree(unix.AT_FDCWD, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return fmt.Errorf("clone %s: %w", name, err)
		}
		mount := os.NewFile(uintptr(fd), name)
		err = attach(mount, root, name)
		if err := errors.Join(err, mount.Close()); err != nil {
			return fmt.Errorf("mount %s: %w", name, err)
		}
	}
	return pivot(dir)
}

// pivot makes a directory where something is mounted the root.
func pivot(dir string) error {
	if err := os.Chdir(dir); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount old root: %w", err)
	}
	return os.Chdir("/")
}

// directory fills a directory of the new root that is there already.
func (c *composer) directory(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if err := c.entry(path, e.Type()); err != nil {
			return fmt.Errorf("compose %s: %w", path, err)
		}
	}
	return touchLike(dir, filepath.Join(c.root, dir))
}

func (c *composer) entry(path string, kind fs.FileMode) error {
	to := filepath.Join(c.root, path)
	switch {
	case slices.Contains(c.hidden, path):
		return nil
	case slices.Contains(c.mounts, path):
		return c.same(path, kind.IsDir())
	case kind.IsDir():
		if err := makeLike(path, to); err != nil {
			return err
		}
		if c.leads(path) || isLittle(path, &allowance{littleFiles, littleBytes}) {
			return c.directory(path)
		}
		return c.overlay(path)
	case kind&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		return errors.Join(os.Symlink(target, to), chownLike(path, to))
	case kind.IsRegular():
		return c.file(path)
	}
	return nil // a socket or device is of no use without who made it
}

// allowance is what may still be copied.
type allowance struct{ files, bytes int64 }

// isLittle reports whether what is in a directory is within an allowance.
func isLittle(dir string, left *allowance) bool {
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	entries, err := f.ReadDir(int(left.files) + 1)
	if err := errors.Join(f.Close(), err); err != nil {
		return errors.Is(err, io.EOF) // there is nothing in it
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return false
		}
		left.files--
		switch {
		case e.IsDir():
			if left.files < 0 || !isLittle(filepath.Join(dir, e.Name()), left) {
				return false
			}
		case e.Type().IsRegular():
			left.bytes -= info.Size()
		case e.Type()&fs.ModeSymlink == 0:
			return false // an overlay shows it, a copy would not
		}
	}
	return left.files >= 0 && left.bytes >= 0
}

// leads reports whether something is mounted below a directory.
func (c *composer) leads(dir string) bool {
	return slices.ContainsFunc(c.mounts, func(m string) bool { return strings.HasPrefix(m, dir+"/") })
}

// same shows what is mounted, or a file, at the same path.
func (c *composer) same(path string, directory bool) error {
	to := filepath.Join(c.root, path)
	var err error
	if directory {
		err = os.Mkdir(to, 0o755)
	} else {
		err = os.WriteFile(to, nil, 0o644)
	}
	if err != nil || slices.Contains(c.targets, path) {
		return err
	}
	return unix.Mount(path, to, "", unix.MS_BIND|unix.MS_REC, "")
}

func (c *composer) file(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	to := filepath.Join(c.root, path)
	if info.Size() > largest {
		if err := c.same(path, false); err != nil {
			return err
		}
		return setReadOnly(unix.AT_FDCWD, to, unix.AT_SYMLINK_NOFOLLOW)
	}
	return errors.Join(copyFile(path, to), chownLike(path, to), os.Chmod(to, info.Mode()), copyCapabilities(path, to), touchLike(path, to))
}

// copyCapabilities gives a program the capabilities that another has.
func copyCapabilities(from, to string) error {
	const attribute = "security.capability"
	value := make([]byte, 64)
	n, err := unix.Lgetxattr(from, attribute, value)
	if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	if err == nil {
		err = unix.Lsetxattr(to, attribute, value[:n], 0)
	}
	return err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// overlay mounts a directory so that what is written goes to the store.
func (c *composer) overlay(dir string) error {
	c.overlays++
	own := filepath.Join(c.store, strconv.Itoa(c.overlays))
	upper, work := filepath.Join(own, "upper"), filepath.Join(own, "work")
	if err := errors.Join(os.Mkdir(own, 0o755), makeLike(dir, upper), os.Mkdir(work, 0o755)); err != nil {
		return err
	}
	return mountOverlay(dir, upper, work, filepath.Join(c.root, dir))
}

func mountOverlay(lower, upper, work, at string) error {
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s,userxattr", escape(lower), upper, work)
	if err := unix.Mount("overlay", at, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	return nil
}

// escape writes a path as an option of overlay's.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(path)
}

// makeLike makes a directory with mode and owner of another.
func makeLike(like, dir string) error {
	info, err := os.Stat(like)
	if err != nil {
		return err
	}
	return errors.Join(os.Mkdir(dir, 0o700), chownLike(like, dir), os.Chmod(dir, info.Mode()))
}

func chownLike(like, path string) error {
	info, err := os.Lstat(like)
	if err != nil {
		return err
	}
	who := info.Sys().(*syscall.Stat_t)
	return os.Lchown(path, int(who.Uid), int(who.Gid))
}

func touchLike(like, path string) error {
	info, err := os.Lstat(like)
	if err != nil {
		return err
	}
	return os.Chtimes(path, info.ModTime(), info.ModTime())
}

// mountPoints are those of this process, see proc(5).
func mountPoints() ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("read mounts: %w", err)
	}
	var points []string
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			return nil, fmt.Errorf("read mounts: %q", line)
		}
		points = append(points, unescape(fields[4]))
	}
	return points, nil
}

// unescape reads a path as the kernel writes it, with \040 for a space.
func unescape(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if n, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}
