package embedded

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWhatIsMountedIsNotRemoved removes a runtime directory in which a mount of
// a mount was left: what is behind them stays.
func TestWhatIsMountedIsNotRemoved(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	kept := filepath.Join(t.TempDir(), "kept")
	dir := filepath.Join(t.TempDir(), "01234567")
	outer, inner := filepath.Join(dir, "a b"), filepath.Join(dir, "a b", "inner")
	for _, d := range []string{kept, outer} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(kept, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	mount := func(from, at, kind string, flags uintptr) {
		t.Helper()
		if err := unix.Mount(from, at, kind, flags, ""); err != nil {
			t.Skipf("mount: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	}
	mount("tmpfs", outer, "tmpfs", 0)
	if err := os.Mkdir(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	mount(kept, inner, "", unix.MS_BIND)
	if err := removeState(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(kept, "file")); err != nil {
		t.Errorf("what was behind the mounts is gone: %v", err)
	}
}
