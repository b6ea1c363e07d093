package isolation

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// probeID is an owner, on the host, of files in the trial's user namespace.
const probeID = FirstID

// probe tries, on the file system of dir, all that a group in a user namespace
// needs of the kernel: mounts with mapped owners, and an overlay on them whose
// upper layer is written to. A kernel's version would not tell: some file
// systems cannot do it, and some kernels are built or locked down otherwise.
func probe(dir string) error {
	dir, err := os.MkdirTemp(dir, ".probe-")
	if err != nil {
		return fmt.Errorf("make directory for trial: %w", err)
	}
	defer os.RemoveAll(dir)
	mapping := fmt.Sprintf("0:%d:%d", probeID, RangeSize)
	namespace, err := mount.GetUsernsFD(mapping, mapping)
	if err != nil {
		return fmt.Errorf("make user namespace: %w", err)
	}
	defer namespace.Close()
	result := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, its mounts with
		// the thread, and so nothing can stay behind.
		runtime.LockOSThread()
		result <- tryMounts(dir, int(namespace.Fd()))
	}()
	if err := <-result; err != nil {
		return fmt.Errorf("mount with mapped owners on the file system of %s: %w", filepath.Dir(dir), err)
	}
	return nil
}

func tryMounts(dir string, namespace int) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"layer", "mapped", "upper", "work", "merged"} {
		if err := os.Mkdir(at(name), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(at("layer/file"), nil, 0o644); err != nil {
		return err
	}
	if err := errors.Join(os.Chown(at("upper"), probeID, probeID), os.Chown(at("work"), probeID, probeID)); err != nil {
		return err
	}
	if err := mount.IDMapMount(at("layer"), at("mapped"), namespace); err != nil {
		return err
	}
	if err := expectOwner(at("mapped/file")); err != nil {
		return err
	}
	if isMemory(dir) {
		return nil // no layers are there
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", at("mapped"), at("upper"), at("work"))
	if err := unix.Mount("overlay", at("merged"), "overlay", 0, options); err != nil {
		return fmt.Errorf("mount overlay: %w", err)
	}
	if err := os.Chmod(at("merged/file"), 0o600); err != nil { // copies it up
		return fmt.Errorf("write to overlay: %w", err)
	}
	return expectOwner(at("merged/file"))
}

func expectOwner(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != probeID {
		return fmt.Errorf("owner %d is shown as %d, not as %d", 0, uid, probeID)
	}
	return nil
}

func isMemory(dir string) bool {
	var s unix.Statfs_t
	return unix.Statfs(dir, &s) == nil && s.Type == unix.TMPFS_MAGIC
}
