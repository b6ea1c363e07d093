// Package images fills the cloud's image store and shows it to others. It
// exists because the cloud must start containers without any network: images
// come from an OCI layout beside the binaries and from archives that the
// operator loads, and the store they go to is also served as a registry, so
// that those in a group can read an image the way they would from any registry.
package images

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// snapshotter is where layers are unpacked.
	snapshotter = "overlayfs"
	// sightPause is the time between two looks whether the CRI sees an image.
	sightPause = 5 * time.Millisecond
	// sightTimeout bounds them: the note is taken in milliseconds.
	sightTimeout = time.Minute

	// managedLabel is that by which containerd's CRI plugin knows its images.
	managedLabel, managedValue = "io.cri-containerd.image", "managed"
	// originLabel says where an image came from. One without it was pulled by
	// a group from a registry.
	originLabel     = "frankenetes.dev/origin"
	builtIn, loaded = "built-in", "loaded"
	// leaseLabel marks what keeps the content of an import that is under way.
	leaseLabel = "frankenetes.dev/import"
)

var (
	// ErrNotFound is returned for an image that is not in the store.
	ErrNotFound = errors.New("no such image")
	// ErrBuiltIn is returned instead of removing or replacing an image of the
	// product's own.
	ErrBuiltIn = errors.New("the image is built in")
	// ErrInUse is returned instead of removing an image that a group uses.
	ErrInUse = errors.New("the image is in use")
	// ErrBadArchive is returned for what is no archive of images, or one
	// that is damaged or not for this machine.
	ErrBadArchive = errors.New("not a usable archive of images")
	// ErrNoName is returned for an image that has no name and was given none.
	ErrNoName = errors.New("the image needs a name")
)

// Store is the images that containers can be made of. It is safe for
// concurrent use.
type Store struct {
	Client *client.Client
	// CRI must see an image before it counts as there.
	CRI runtimeapi.ImageServiceClient
	Log *slog.Logger

	mu sync.Mutex // held by who adds or removes images
}

// lease keeps what is added from being collected until done is called, which
// has to know whether the work failed: then what came of it is collected.
func (s *Store) lease(ctx context.Context) (_ context.Context, done func(error) error, err error) {
	service := s.Client.LeasesService()
	l, err := service.Create(ctx, leases.WithRandomID(), leases.WithLabel(leaseLabel, "true"))
	if err != nil {
		return ctx, nil, fmt.Errorf("hold content: %w", err)
	}
	return leases.WithLease(ctx, l.ID), func(failed error) error {
		var how []leases.DeleteOpt
		if failed != nil {
			how = append(how, leases.SynchronousDelete)
		}
		if err := service.Delete(context.WithoutCancel(ctx), l, how...); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("let go of content: %w", err)
		}
		return nil
	}, nil
}

// Tidy removes what imports left behind that an earlier daemon did not finish.
func (s *Store) Tidy(ctx context.Context) error {
	service := s.Client.LeasesService()
	left, err := service.List(ctx, "labels.\""+leaseLabel+"\"==true")
	if err != nil {
		return fmt.Errorf("look for unfinished imports: %w", err)
	}
	for i, l := range left {
		var how []leases.DeleteOpt
		if i == len(left)-1 {
			how = append(how, leases.SynchronousDelete)
		}
		if err := service.Delete(ctx, l, how...); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove unfinished import: %w", err)
		}
	}
	return nil
}

// unpack makes an image's file system. It fails when a layer is damaged.
func (s *Store) unpack(ctx context.Context, name string, target ocispec.Descriptor) error {
	if err := client.NewImage(s.Client, images.Image{Name: name, Target: target}).Unpack(ctx, snapshotter); err != nil {
		return fmt.Errorf("unpack image %s: %w", name, err)
	}
	return nil
}

// name gives an image a name, which may have meant another one until now, and
// waits for the CRI to see that.
func (s *Store) name(ctx context.Context, name string, target ocispec.Descriptor, origin string) error {
	service := s.Client.ImageService()
	record := images.Image{Name: name, Target: target, Labels: map[string]string{managedLabel: managedValue, originLabel: origin}}
	_, err := service.Create(ctx, record)
	if errdefs.IsAlreadyExists(err) {
		_, err = service.Update(ctx, record)
	}
	if err != nil {
		return fmt.Errorf("name image %s: %w", name, err)
	}
	return s.awaitSight(ctx, name, target)
}

// awaitSight waits until the CRI plugin has taken note of an image, which it
// does a moment after containerd's image event and tells nobody.
func (s *Store) awaitSight(ctx context.Context, name string, want ocispec.Descriptor) error {
	return s.awaitNote(ctx, name, func(seen *runtimeapi.Image) bool {
		current, err := s.Client.GetImage(ctx, name)
		if seen == nil || err != nil || current.Target().Digest != want.Digest {
			return false
		}
		config, err := current.Config(ctx)
		return err == nil && config.Digest.String() == seen.Id
	})
}

// awaitNote asks the CRI plugin for an image until the answer is as it should be.
func (s *Store) awaitNote(ctx context.Context, name string, right func(*runtimeapi.Image) bool) error {
	ctx, cancel := context.WithTimeout(ctx, sightTimeout)
	defer cancel()
	for {
		status, err := s.CRI.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: name}, Verbose: false})
		if err != nil {
			return fmt.Errorf("ask for image %s: %w", name, err)
		}
		if right(status.Image) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until containers see the change of image %s: %w", name, ctx.Err())
		case <-time.After(sightPause):
		}
	}
}
