package groups

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// errNotInRegistry is why an image of the cloud's own registry cannot be had.
var errNotInRegistry = errors.New("not found in the cloud's registry")

// imageSet fetches the images of a deployment, side by side.
type imageSet struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	images  map[string]*fetched
}

// fetched is an image that is, or will be, in the local store.
type fetched struct {
	start func() // begins to fetch it; only the first call counts
	done  chan struct{}
	id    string
}

// fetchImages prepares to fetch every image of the group, each once it is
// awaited, or at once if so asked.
func (d *deployment) fetchImages(ctx context.Context, atOnce bool) *imageSet {
	set := &imageSet{images: map[string]*fetched{}}
	ctx, set.cancel = context.WithCancel(ctx)
	for image, containers := range d.group.imageUsers() {
		f := &fetched{done: make(chan struct{})}
		set.images[image] = f
		f.start = sync.OnceFunc(func() {
			set.running.Go(func() {
				if id, ok := d.fetch(ctx, image, containers); ok {
					f.id = id
					close(f.done)
				}
			})
		})
		if atOnce {
			f.start()
		}
	}
	return set
}

// stop ends fetching and waits for that. Nothing is awaited any more.
func (s *imageSet) stop() {
	s.cancel()
	s.running.Wait()
}

// await returns the image's id once it is there, or ctx's error.
func (s *imageSet) await(ctx context.Context, image string) (string, error) {
	f := s.images[image]
	f.start()
	select {
	case <-f.done:
		return f.id, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// imageUsers returns the names of the containers that use each image.
func (g *Group) imageUsers() map[string][]string {
	users := map[string][]string{}
	for _, list := range [][]Container{g.Properties.InitContainers, g.Properties.Containers} {
		for _, c := range list {
			users[c.Properties.Image] = append(users[c.Properties.Image], c.Name)
		}
	}
	return users
}

// fetch returns the image's id when it is in the local store, pulling it if it
// is not, again and again until ctx is done.
func (d *deployment) fetch(ctx context.Context, image string, containers []string) (string, bool) {
	var pause backOff
	for {
		d.eventFor(containers, normal, "Pulling", fmt.Sprintf("pulling image %q", image))
		id, err := d.engine.obtain(ctx, d.group, image)
		if err == nil {
			d.eventFor(containers, normal, "Pulled", fmt.Sprintf("Successfully pulled image %q", image))
			return id, true
		}
		if ctx.Err() != nil {
			return "", false
		}
		d.eventFor(containers, warning, "Failed", fmt.Sprintf("Failed to pull image %q: %s", image, reason(err)))
		d.waitsFor(containers, "ErrImagePull: "+reason(err))
		wait := max(pause.after(0), backOffFirst)
		if !sleep(ctx, min(time.Second, wait)) { // the error can be seen for a moment
			return "", false
		}
		d.eventFor(containers, warning, "BackOff", fmt.Sprintf("Back-off pulling image %q", image))
		d.waitsFor(containers, fmt.Sprintf("ImagePullBackOff: Back-off pulling image %q", image))
		if !sleep(ctx, wait) {
			return "", false
		}
	}
}

func (d *deployment) eventFor(containers []string, kind, name, message string) {
	for _, c := range containers {
		d.status.event(c, kind, name, message)
	}
}

func (d *deployment) waitsFor(containers []string, detail string) {
	for _, c := range containers {
		d.status.update(c, func(p *progress) {
			if p.Current.State == waiting {
				p.Current.DetailStatus = detail
			}
		})
	}
}

// obtain looks in the local store and then in the image's registry.
func (e *engine) obtain(ctx context.Context, g *Group, image string) (string, error) {
	id, err := e.localImage(ctx, image)
	if err != nil || id != "" {
		return id, err
	}
	if e.isOurs(image) {
		return "", errNotInRegistry
	}
	auth := g.credential(image)
	r, err := e.images.PullImage(ctx, &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: image}, Auth: auth})
	if err != nil {
		return "", err
	}
	return r.ImageRef, e.private.pulled(r.ImageRef, auth)
}

// localImage returns the id of an image in the local store, or nothing.
func (e *engine) localImage(ctx context.Context, image string) (string, error) {
	r, err := e.images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: image}})
	if err != nil {
		return "", fmt.Errorf("look for image %s: %w", image, err)
	}
	return r.GetImage().GetId(), nil
}

// isOurs reports whether the image is one of the cloud's own registry, which
// has what the local store has and nothing else.
func (e *engine) isOurs(image string) bool {
	host, _, _ := strings.Cut(image, "/")
	return strings.EqualFold(host, e.registry)
}

// credential returns what opens the image's registry, or nil.
func (g *Group) credential(image string) *runtimeapi.AuthConfig {
	host, _, qualified := strings.Cut(image, "/")
	if !qualified || !strings.ContainsAny(host, ".:") && host != "localhost" {
		host = "docker.io"
	}
	for _, c := range g.Properties.ImageRegistryCredentials {
		server := strings.TrimSuffix(strings.TrimPrefix(c.Server, "https://"), "/")
		if server == "index.docker.io" || server == "index.docker.io/v1" {
			server = "docker.io"
		}
		if strings.EqualFold(server, host) && c.Username != "" {
			return &runtimeapi.AuthConfig{Username: c.Username, Password: c.Password, ServerAddress: c.Server}
		}
	}
	return nil
}
