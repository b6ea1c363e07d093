package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"frankenetes.dev/agent/disk"
	"frankenetes.dev/agent/process"
	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/agent/rootless"
	"frankenetes.dev/agent/unpack"
	"frankenetes.dev/agent/volume"
)

// podVolumes are those of the pod, which the pod agent has as directories.
type podVolumes struct {
	dirs   rootless.Dirs
	reaper *process.Reaper

	mu sync.Mutex
	// keeper has those that are in memory, once there is one.
	keeper *rootless.Keeper
	// memory are the names of those, gauges measure the others.
	memory map[string]bool
	gauges map[string]*disk.Gauge

	unpacking sync.Mutex
	// images are the IDs of the images that volumes are the content of.
	images map[string]string
}

func newPodVolumes(dirs rootless.Dirs, reaper *process.Reaper) *podVolumes {
	return &podVolumes{dirs: dirs, reaper: reaper, memory: map[string]bool{}, gauges: map[string]*disk.Gauge{}, images: map[string]string{}}
}

// close ends what goes on for the volumes. What is mounted stays.
func (v *podVolumes) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.keeper != nil {
		v.keeper.Close()
	}
	for _, g := range v.gauges {
		g.Close()
	}
}

// find returns the directory of a volume.
func (v *podVolumes) find(name string) (string, error) {
	dir := filepath.Join(v.dirs.Volumes, name)
	info, err := os.Lstat(dir)
	if !isName(name) || err != nil || !info.IsDir() {
		return "", refuse(http.StatusNotFound, "there is no volume %q here", name)
	}
	return dir, nil
}

// make makes the directory of a volume that shares another with others.
func (v *podVolumes) make(name string) error {
	if !isName(name) {
		return refuse(http.StatusBadRequest, "%q is no volume's name", name)
	}
	if err := os.Mkdir(filepath.Join(v.dirs.Volumes, name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make volume %s: %w", name, err)
	}
	return nil
}

// isName reports whether a name is one of a directory, and none of ours.
func isName(name string) bool {
	return name != "" && name[0] != '.' && !strings.ContainsAny(name, "/\x00")
}

// put gives a volume its content.
func (v *podVolumes) put(name string, content protocol.Volume) error {
	if content.Shared {
		if err := v.make(name); err != nil {
			return err
		}
	}
	dir, err := v.find(name)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if content.Memory == nil {
		return volume.Put(dir, content)
	}
	if err := v.keep(); err != nil {
		return err
	}
	v.memory[name] = true
	return v.keeper.Put(name, content)
}

// startKeeper makes ready for volumes in memory.
func (v *podVolumes) startKeeper() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.keep()
}

// keep starts the keeper, unless there is one. Callers hold mu.
func (v *podVolumes) keep() (err error) {
	if v.keeper == nil {
		v.keeper, err = rootless.StartKeeper(v.reaper, v.dirs)
	}
	return err
}

// putImage gives a volume the content of an image, unless it has that.
func (v *podVolumes) putImage(name, id string, archive io.Reader) error {
	dir, err := v.find(name)
	if err != nil {
		return err
	}
	v.unpacking.Lock()
	defer v.unpacking.Unlock()
	if v.images[name] == id {
		return nil
	}
	delete(v.images, name)
	if err := errors.Join(clearDir(dir), os.Chmod(dir, 0o755), unpack.Dir(dir, archive)); err != nil {
		return errors.Join(fmt.Errorf("put image in volume %s: %w", name, err), clearDir(dir))
	}
	v.images[name] = id
	return nil
}

// hasImage refuses unless a volume has the content of an image, and in that
// something at a path.
func (v *podVolumes) hasImage(name, id, path string) error {
	dir, err := v.find(name)
	if err != nil {
		return err
	}
	v.unpacking.Lock()
	there := v.images[name]
	v.unpacking.Unlock()
	if there != id {
		return refuse(http.StatusNotFound, "volume %s does not have image %s", name, id)
	}
	if err := rootless.Find(dir, path); err != nil {
		return refuse(http.StatusUnprocessableEntity, "the image's %v", err)
	}
	return nil
}

// clearDir removes all that is in a directory.
func clearDir(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// usage measures what a volume holds. One in memory is always known.
func (v *podVolumes) usage(ctx context.Context, name string, age time.Duration) (protocol.Disk, error) {
	dir, err := v.find(name)
	if err != nil {
		return protocol.Disk{}, err
	}
	v.mu.Lock()
	if v.memory[name] {
		defer v.mu.Unlock()
		return v.keeper.Usage(name)
	}
	gauge := v.gauges[name]
	if gauge == nil {
		gauge = disk.NewGauge(func(ctx context.Context) (protocol.Disk, error) { return disk.Tree(ctx, dir, time.Time{}) })
		v.gauges[name] = gauge
	}
	v.mu.Unlock()
	used, err := gauge.Read(ctx, age)
	if err == nil {
		used.Room, err = disk.Room(dir)
	}
	return used, err
}

func (a *agent) putVolume(w http.ResponseWriter, r *http.Request) {
	var content protocol.Volume
	err := readBody(w, r, &content)
	if err == nil {
		err = a.volumes.put(r.PathValue("name"), content)
	}
	answer(w, nil, err)
}

func (a *agent) volumeUsage(w http.ResponseWriter, r *http.Request) {
	age, err := ageOf(r)
	if err != nil {
		answer(w, nil, err)
		return
	}
	d, err := a.volumes.usage(r.Context(), r.PathValue("name"), age)
	answer(w, d, err)
}

// volumeFile sends a file that a container has left in a volume.
func (a *agent) volumeFile(w http.ResponseWriter, r *http.Request) {
	dir, err := a.volumes.find(r.PathValue("name"))
	if err != nil {
		answer(w, nil, err)
		return
	}
	data, err := volume.Read(dir, r.URL.Query().Get("path"))
	if err != nil {
		answer(w, nil, refuse(http.StatusNotFound, "%v", err))
		return
	}
	answer(w, data, nil)
}
