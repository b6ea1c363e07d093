package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sync/errgroup"

	"frankenetes.dev/agent/protocol"
)

// dataLink is the link that the kubelet swaps to replace a volume's content.
const dataLink = "..data"

// contentPlugins are the kinds of volumes whose content the kubelet writes.
var contentPlugins = map[string]bool{
	"kubernetes.io~configmap": true, "kubernetes.io~secret": true,
	"kubernetes.io~downward-api": true, "kubernetes.io~projected": true,
}

// emptyPlugin is the kind of volume that is just a directory.
const emptyPlugin = "kubernetes.io~empty-dir"

// volume is one of a pod's volumes: a directory that the kubelet keeps on the
// node, and one of the group that the pod agent makes like it.
type volume struct {
	sandbox *sandbox
	name    string
	// host is the directory on the node.
	host string
	// content says that there are files in it to be sent.
	content bool
	// memory is set for a volume in memory.
	memory *protocol.Memory

	mu sync.Mutex
	// sent is the hash of what the pod agent has.
	sent [sha256.Size]byte
}

// place says what a path of the kubelet's on the node is.
type place int

const (
	hostsFile place = iota
	messageFile
	emptyVolume
	contentVolume
)

// located is what a mounted path is: a place, and for a volume its name, its
// directory and the path in it.
type located struct {
	place
	name, dir, sub string
}

// locate tells what a mounted path is.
func locate(root, uid, path string) (located, error) {
	pod := filepath.Join(root, "pods", uid)
	below, err := filepath.Rel(pod, path)
	if err != nil {
		return located{}, fmt.Errorf("mount %s: %w", path, err)
	}
	parts := strings.Split(below, "/")
	switch {
	case below == "etc-hosts":
		return located{place: hostsFile}, nil
	case len(parts) == 3 && parts[0] == "containers":
		return located{place: messageFile}, nil
	case len(parts) >= 3 && parts[0] == "volumes" && (parts[1] == emptyPlugin || contentPlugins[parts[1]]):
		l := located{place: emptyVolume, name: parts[2], dir: filepath.Join(pod, "volumes", parts[1], parts[2]), sub: filepath.Join(parts[3:]...)}
		if contentPlugins[parts[1]] {
			l.place = contentVolume
		}
		return l, nil
	}
	return located{}, refuse("a mount of "+path, "a container group can mount the pod's own volumes only")
}

// mounts sorts out what the kubelet wants mounted in a container.
func (r *Runtime) mounts(c *container) error {
	for _, m := range c.config.GetMounts() {
		if m.GetImage() != nil {
			continue // for mountImages
		}
		at, err := locate(r.opts.RootDir, c.sandbox.uid, m.HostPath)
		if err != nil {
			return err
		}
		switch at.place {
		case hostsFile:
			c.hosts = m.HostPath
		case messageFile:
			c.message, c.messagePath = m.HostPath, m.ContainerPath
		default:
			v := c.sandbox.volume(at.name, at.dir, at.place == contentVolume)
			c.volumes = append(c.volumes, v)
			mount := protocol.Mount{Volume: at.name, SubPath: at.sub, Path: m.ContainerPath, ReadOnly: m.Readonly}
			if v.memory != nil {
				mount.Memory = v.memory.Token
			}
			// The group mounts nothing in an ephemeral container.
			if at.sub != "" || v.memory != nil || c.sandbox.shared || c.ephemeral() {
				c.mounts = append(c.mounts, mount)
			}
		}
	}
	return nil
}

// volume returns the sandbox's volume of that name.
func (sb *sandbox) volume(name, host string, content bool) *volume {
	sb.mu.Lock()
	defer sb.mu.Unlock()
	if v := sb.volumes[name]; v != nil {
		return v
	}
	v := &volume{sandbox: sb, name: name, host: host, content: content}
	if size, ok := sb.memory[name]; ok {
		v.memory = &protocol.Memory{Size: size, Token: newID()}
	}
	sb.volumes[name] = v
	return v
}

// fill brings all volumes of a container up to date, at once.
func (r *Runtime) fill(ctx context.Context, c *container) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, v := range c.volumes {
		all.Go(func() error { return r.send(ctx, v) })
	}
	return all.Wait()
}

// send gives the pod agent a volume's content, if that has changed.
func (r *Runtime) send(ctx context.Context, v *volume) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := r.watch(v); err != nil {
		return err
	}
	content, err := v.read()
	if err != nil {
		return fmt.Errorf("read volume %s: %w", v.name, err)
	}
	data, err := json.Marshal(content)
	if err != nil {
		return fmt.Errorf("encode volume %s: %w", v.name, err)
	}
	hash := sha256.Sum256(data)
	if hash == v.sent {
		return nil
	}
	agent, err := r.client(ctx, v.sandbox, protocol.PodAgent)
	if err != nil {
		return err
	}
	if err := agent.PutVolume(ctx, v.name, content); err != nil {
		return fmt.Errorf("send volume %s: %w", v.name, err)
	}
	v.sent = hash
	return nil
}

// watch asks to be told when the kubelet replaces a volume's content. It comes
// before the first reading, so that no change is missed.
func (r *Runtime) watch(v *volume) error {
	if !v.content {
		return nil
	}
	r.mu.Lock()
	known := r.watched[v.host] == v
	r.watched[v.host] = v
	r.mu.Unlock()
	if known {
		return nil
	}
	if err := r.volumes.Add(v.host); err != nil {
		r.mu.Lock()
		delete(r.watched, v.host)
		r.mu.Unlock()
		return fmt.Errorf("watch volume %s: %w", v.name, err)
	}
	return nil
}

// unwatch ends the watches of a sandbox's volumes.
func (r *Runtime) unwatch(sb *sandbox) {
	r.mu.Lock()
	var dirs []string
	for dir, v := range r.watched {
		if v.sandbox == sb {
			dirs = append(dirs, dir)
			delete(r.watched, dir)
		}
	}
	r.mu.Unlock()
	for _, dir := range dirs {
		_ = r.volumes.Remove(dir) // the directory may be gone, and the watch with it
	}
}

// watchVolumes sends what the kubelet changes until the watcher is closed.
func (r *Runtime) watchVolumes() {
	for {
		select {
		case event, ok := <-r.volumes.Events:
			if !ok {
				return
			}
			if filepath.Base(event.Name) != dataLink || !event.Has(fsnotify.Create) {
				continue
			}
			r.mu.Lock()
			v := r.watched[filepath.Dir(event.Name)]
			r.mu.Unlock()
			if v != nil {
				r.tasks.start(func() { r.update(v) })
			}
		case err, ok := <-r.volumes.Errors:
			if !ok {
				return
			}
			r.log.Warn("watching volumes", "error", err)
		}
	}
}

// update sends a volume that has changed. If that fails for want of a
// connection, the pod agent's next call makes good for it; if the kubelet has
// not put anything there yet, it is seen when it does.
func (r *Runtime) update(v *volume) {
	err := r.send(v.sandbox.life, v)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && v.sandbox.life.Err() == nil {
		r.log.Warn("a volume is not up to date", "pod", v.sandbox.namespace+"/"+v.sandbox.name, "volume", v.name, "error", err)
	}
}

// refresh sends whatever volumes of a sandbox have changed.
func (r *Runtime) refresh(sb *sandbox) {
	sb.mu.Lock()
	var all []*volume
	for _, v := range sb.volumes {
		if v.content {
			all = append(all, v)
		}
	}
	sb.mu.Unlock()
	for _, v := range all {
		r.update(v)
	}
}
