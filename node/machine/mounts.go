package machine

import (
	"os"
	"path/filepath"
	"sync"

	"k8s.io/mount-utils"
)

// Mounts pretends to mount: the kubelet's volumes are plain directories here,
// whose content goes to the pods' groups. It remembers what it was asked to
// mount until that is unmounted, since the kubelet asks.
type Mounts struct {
	mu  sync.Mutex
	all map[string]mount.MountPoint
}

var _ mount.Interface = (*Mounts)(nil)

// NewMounts returns a mounter that has nothing mounted.
func NewMounts() *Mounts { return &Mounts{all: map[string]mount.MountPoint{}} }

// real returns the path without symbolic links, where it exists.
func real(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return path
}

// Mount notes a mount.
func (m *Mounts) Mount(source, target, fstype string, options []string) error {
	target = real(target)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[target] = mount.MountPoint{Device: source, Path: target, Type: fstype, Opts: options}
	return nil
}

// MountSensitive notes a mount, without the sensitive options.
func (m *Mounts) MountSensitive(source, target, fstype string, options, _ []string) error {
	return m.Mount(source, target, fstype, options)
}

// MountSensitiveWithoutSystemd notes a mount, without the sensitive options.
func (m *Mounts) MountSensitiveWithoutSystemd(source, target, fstype string, options, _ []string) error {
	return m.Mount(source, target, fstype, options)
}

// MountSensitiveWithoutSystemdWithMountFlags notes a mount, without the
// sensitive options.
func (m *Mounts) MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype string, options, _, _ []string) error {
	return m.Mount(source, target, fstype, options)
}

// Unmount forgets a mount.
func (m *Mounts) Unmount(target string) error {
	target = real(target)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, target)
	return nil
}

// List returns the mounts.
func (m *Mounts) List() ([]mount.MountPoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []mount.MountPoint
	for _, p := range m.all {
		list = append(list, p)
	}
	return list, nil
}

// IsLikelyNotMountPoint reports whether nothing is mounted at an existing path.
func (m *Mounts) IsLikelyNotMountPoint(file string) (bool, error) {
	mounted, err := m.IsMountPoint(file)
	return !mounted, err
}

// CanSafelySkipMountPointCheck says that unmounting what is not mounted is no
// error.
func (m *Mounts) CanSafelySkipMountPointCheck() bool { return true }

// IsMountPoint reports whether something is mounted at an existing path.
func (m *Mounts) IsMountPoint(file string) (bool, error) {
	if _, err := os.Stat(file); err != nil {
		return false, err
	}
	file = real(file)
	m.mu.Lock()
	defer m.mu.Unlock()
	_, mounted := m.all[file]
	return mounted, nil
}

// GetMountRefs returns no other place where the same is mounted.
func (m *Mounts) GetMountRefs(string) ([]string, error) { return nil, nil }
