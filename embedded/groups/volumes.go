package groups

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// secretSpace bounds the memory for a group's secrets; a request body, from
// which they come, is smaller.
const secretSpace = "mode=0700,size=16m"

// hosts is what /etc/hosts says in every container.
const hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"

// volumes returns where each volume of the group is, and makes them first
// unless that was done. Those of what runs already are not looked at before
// there is another run that needs them.
func (d *deployment) volumes(ctx context.Context) (map[string]string, error) {
	d.mounting.Lock()
	defer d.mounting.Unlock()
	if d.mounted != nil {
		return d.mounted, nil
	}
	mounted, err := d.mountVolumes(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.status.event("", warning, "FailedMount", err.Error())
		}
		return nil, err
	}
	d.mounted = mounted
	return mounted, nil
}

// forgetVolumes notes that they are gone.
func (d *deployment) forgetVolumes() {
	d.mounting.Lock()
	defer d.mounting.Unlock()
	d.mounted = nil
}

// mountVolumes makes every volume of the group and returns where each is.
// It may be called again: what is there is kept.
func (d *deployment) mountVolumes(ctx context.Context) (map[string]string, error) {
	at := map[string]string{}
	for _, volume := range d.group.Properties.Volumes {
		var err error
		switch {
		case volume.EmptyDir != nil:
			at[volume.Name], err = d.emptyDir(volume.Name)
		case volume.Secret != nil:
			at[volume.Name], err = d.secret(volume)
		case volume.AzureFile != nil:
			f := volume.AzureFile
			at[volume.Name], err = d.engine.shares.SharePath(f.StorageAccountName, f.ShareName, f.StorageAccountKey)
		case volume.GitRepo != nil:
			at[volume.Name], err = d.gitRepo(ctx, volume)
		}
		if err != nil {
			return nil, fmt.Errorf("mount volume %s: %w", volume.Name, err)
		}
	}
	return at, nil
}

func (d *deployment) emptyDir(name string) (string, error) {
	dir := filepath.Join(d.engine.volumeDir(d.uid), name)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return "", err
	}
	err := os.Mkdir(dir, 0o777)
	if errors.Is(err, fs.ErrExist) {
		return dir, nil
	}
	if err == nil {
		err = os.Chmod(dir, 0o777) // whatever the umask says
	}
	return dir, err
}

// memory returns a directory of the group's that is never on a disk.
func (d *deployment) memory() (string, error) {
	dir := d.engine.memoryDir(d.uid)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	mounted, err := isMount(dir)
	if err != nil || mounted {
		return dir, err
	}
	if err := d.engine.mountMemory(dir); err != nil {
		return "", fmt.Errorf("mount memory: %w", err)
	}
	return dir, nil
}

// mountTmpfs mounts a file system that is in memory alone.
func mountTmpfs(dir string) error {
	return unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, secretSpace)
}

// isMount reports whether something is mounted at a directory.
func isMount(dir string) (bool, error) {
	var here, parent unix.Stat_t
	if err := errors.Join(unix.Stat(dir, &here), unix.Stat(filepath.Dir(dir), &parent)); err != nil {
		return false, err
	}
	return here.Dev != parent.Dev, nil
}

// secret writes one file for each key. Inside the container everyone may read
// them, as on ACI; outside, only root can reach the directory.
func (d *deployment) secret(volume Volume) (string, error) {
	memory, err := d.memory()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(memory, volume.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for file, value := range volume.Secret {
		data, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return "", fmt.Errorf("decode %s: %w", file, err)
		}
		if err := keepFile(filepath.Join(dir, file), data); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// hostsFile writes the group's /etc/hosts, which would be the host's otherwise.
func (d *deployment) hostsFile() (string, error) {
	path := filepath.Join(d.engine.volumeDir(d.uid), ".hosts")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	if err := keepFile(path, []byte(hosts)); err != nil {
		return "", err
	}
	return path, nil
}

// keepFile writes a file that everyone may read, unless it is there already: a
// container that runs may be reading it.
func keepFile(path string, data []byte) error {
	if now, err := os.ReadFile(path); err == nil && bytes.Equal(now, data) {
		return nil
	}
	return os.WriteFile(path, data, 0o644)
}

// removeVolumes removes what a deployment had, but for shares.
func (e *engine) removeVolumes(uid string) error {
	dir := e.memoryDir(uid)
	mounted, err := isMount(dir)
	if err == nil && mounted {
		err = unix.Unmount(dir, unix.MNT_DETACH)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount secrets of %s: %w", uid, err)
	}
	if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(e.volumeDir(uid)), removeScratch(uid)); err != nil {
		return fmt.Errorf("remove volumes of %s: %w", uid, err)
	}
	return nil
}
