package node

import (
	"os"
	"path/filepath"
	"sync"

	"k8s.io/kubernetes/pkg/volume/util/hostutil"
	"k8s.io/mount-utils"
)

// host is the node's file system without what needs privileges there.
type host struct{ *hostutil.HostUtil }

// MakeRShared does nothing: nobody sees the kubelet's directory through mounts.
func (host) MakeRShared(string) error { return nil }

// mounts pretends to mount: the kubelet's volumes are plain directories here,
// whose content goes to the pods' groups. It remembers what it was asked to
// mount until that is unmounted, since the kubelet asks.
type mounts struct {
	mu  sync.Mutex
	all map[string]mount.MountPoint
}

var _ mount.Interface = (*mounts)(nil)

func newMounts() *mounts { return &mounts{all: map[string]mount.MountPoint{}} }

// real returns the path without symbolic links, where it exists.
func real(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return path
}

// Mount notes a mount.
func (m *mounts) Mount(source, target, fstype string, options []string) error {
	target = real(target)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all[target] = mount.MountPoint{Device: source, Path: target, Type: fstype, Opts: options}
	return nil
}

// MountSensitive notes a mount, without the sensitive options.
func (m *mounts) MountSensitive(source, target, fstype string, options, _ []string) error {
	return m.Mount(source, target, fstype, options)
}

// MountSensitiveWithoutSystemd notes a mount, without the sensitive options.
func (m *mounts) MountSensitiveWithoutSystemd(source, target, fstype string, options, _ []string) error {
	return m.Mount(source, target, fstype, options)
}

// MountSensitiveWithoutSystemdWithMountFlags notes a mount, without the
// sensitive options.
func (m *mounts) MountSensitiveWithoutSystemdWithMountFlags(source, target, fstype string, options, _, _ []string) error {
	return m.Mount(source, target, fstype, options)
}

// Unmount forgets a mount.
func (m *mounts) Unmount(target string) error {
	target = real(target)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, target)
	return nil
}

// List returns the mounts.
func (m *mounts) List() ([]mount.MountPoint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []mount.MountPoint
	for _, p := range m.all {
		list = append(list, p)
	}
	return list, nil
}

// IsLikelyNotMountPoint reports whether nothing is mounted at an existing path.
func (m *mounts) IsLikelyNotMountPoint(file string) (bool, error) {
	mounted, err := m.IsMountPoint(file)
	return !mounted, err
}

// CanSafelySkipMountPointCheck says that unmounting what is not mounted is no
// error.
func (m *mounts) CanSafelySkipMountPointCheck() bool { return true }

// IsMountPoint reports whether something is mounted at an existing path.
func (m *mounts) IsMountPoint(file string) (bool, error) {
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
func (m *mounts) GetMountRefs(string) ([]string, error) { return nil, nil }
