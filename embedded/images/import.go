// Package images fills the cloud's image store and shows it to others. It
// exists because the cloud must start containers without any network: images
// come from an OCI layout beside the binaries, and the store they go to is also
// served as a registry, so that a node in a group can read an image's
// configuration the way it would from any registry.
package images

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// snapshotter is where layers are unpacked.
	snapshotter = "overlayfs"
	// sightPause is the time between two looks whether the CRI sees an image.
	sightPause = 5 * time.Millisecond
	// sightTimeout bounds them: the note is taken in milliseconds.
	sightTimeout = time.Minute
)

// managed is the label by which containerd's CRI plugin knows its images.
var managed = map[string]string{"io.cri-containerd.image": "managed"}

// Importer copies images from an OCI layout into containerd.
type Importer struct {
	// Layout is the directory with index.json and blobs.
	Layout string
	Client *client.Client
	// CRI must see an image before it counts as imported.
	CRI runtimeapi.ImageServiceClient
	Log *slog.Logger
}

// Import copies every image that containerd lacks or has in another version,
// side by side, and returns when containers can be made of them.
func (i *Importer) Import(ctx context.Context) error {
	started := time.Now()
	index, err := i.index()
	if err != nil {
		return err
	}
	ctx, done, err := i.Client.WithLease(ctx) // nothing is collected half way
	if err != nil {
		return fmt.Errorf("import images: %w", err)
	}
	defer func() { _ = done(context.WithoutCancel(ctx)) }()
	var copied atomic.Int32
	work, workCtx := errgroup.WithContext(ctx)
	for _, manifest := range index.Manifests {
		name := manifest.Annotations[ocispec.AnnotationRefName]
		if name == "" {
			continue
		}
		work.Go(func() error {
			have, err := i.has(workCtx, name, manifest)
			if err != nil || have {
				return err
			}
			copied.Add(1)
			return i.one(workCtx, name, manifest)
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	i.Log.Info("images imported", "copied", copied.Load(), "of", len(index.Manifests), "took", time.Since(started).Round(time.Millisecond))
	return nil
}

func (i *Importer) index() (ocispec.Index, error) {
	var index ocispec.Index
	data, err := os.ReadFile(filepath.Join(i.Layout, ocispec.ImageIndexFile))
	if err != nil {
		return index, fmt.Errorf("read image layout: %w", err)
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return index, fmt.Errorf("read image layout %s: %w", i.Layout, err)
	}
	return index, nil
}

// has reports whether the image is there, in this version and unpacked.
func (i *Importer) has(ctx context.Context, name string, want ocispec.Descriptor) (bool, error) {
	image, err := i.Client.GetImage(ctx, name)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for image %s: %w", name, err)
	}
	if image.Target().Digest != want.Digest {
		return false, nil
	}
	unpacked, err := image.IsUnpacked(ctx, snapshotter)
	if err != nil {
		return false, nil // its content is damaged: import it again
	}
	return unpacked, nil
}

// one copies an image's blobs, names it, unpacks it, and waits for the CRI.
func (i *Importer) one(ctx context.Context, name string, manifest ocispec.Descriptor) error {
	started := time.Now()
	if err := i.copyTree(ctx, i.Client.ContentStore(), manifest); err != nil {
		return fmt.Errorf("import image %s: %w", name, err)
	}
	copied := time.Since(started)
	target := ocispec.Descriptor{MediaType: manifest.MediaType, Digest: manifest.Digest, Size: manifest.Size}
	record := images.Image{Name: name, Target: target, Labels: managed}
	if err := client.NewImage(i.Client, record).Unpack(ctx, snapshotter); err != nil {
		return fmt.Errorf("unpack image %s: %w", name, err)
	}
	unpacked := time.Since(started) - copied
	store := i.Client.ImageService()
	_, err := store.Create(ctx, record)
	if errdefs.IsAlreadyExists(err) {
		_, err = store.Update(ctx, record)
	}
	if err != nil {
		return fmt.Errorf("name image %s: %w", name, err)
	}
	if err := i.awaitSight(ctx, name, target); err != nil {
		return err
	}
	i.Log.Info("image imported", "image", name, "took", time.Since(started).Round(time.Millisecond),
		"copy", copied.Round(time.Millisecond), "unpack", unpacked.Round(time.Millisecond))
	return nil
}

// copyTree copies the manifest and what it refers to, leaves first, and labels
// each with its children so that containerd's collector keeps them.
func (i *Importer) copyTree(ctx context.Context, cs content.Store, manifest ocispec.Descriptor) error {
	if err := i.copyBlob(ctx, cs, manifest); err != nil {
		return err
	}
	children, err := images.SetChildrenLabels(cs, images.ChildrenHandler(cs))(ctx, manifest)
	if err != nil {
		return fmt.Errorf("read manifest %s: %w", manifest.Digest, err)
	}
	copies, ctx := errgroup.WithContext(ctx)
	for _, child := range children {
		copies.Go(func() error { return i.copyBlob(ctx, cs, child) })
	}
	return copies.Wait()
}

func (i *Importer) copyBlob(ctx context.Context, cs content.Store, blob ocispec.Descriptor) error {
	if _, err := cs.Info(ctx, blob.Digest); err == nil {
		return nil
	}
	f, err := os.Open(filepath.Join(i.Layout, ocispec.ImageBlobsDir, blob.Digest.Algorithm().String(), blob.Digest.Encoded()))
	if err != nil {
		return fmt.Errorf("open blob: %w", err)
	}
	defer f.Close()
	// Only a reader: a file's own way of copying is in small pieces, and each
	// piece is a question to containerd and its answer.
	if err := content.WriteBlob(ctx, cs, "import-"+blob.Digest.String(), struct{ io.Reader }{f}, blob); err != nil {
		return fmt.Errorf("copy blob %s: %w", blob.Digest, err)
	}
	return nil
}

// awaitSight waits until the CRI plugin has taken note of an image, which it
// does a moment after containerd's image event and tells nobody.
func (i *Importer) awaitSight(ctx context.Context, name string, want ocispec.Descriptor) error {
	ctx, cancel := context.WithTimeout(ctx, sightTimeout)
	defer cancel()
	for {
		status, err := i.CRI.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: name}, Verbose: false})
		if err != nil {
			return fmt.Errorf("ask for image %s: %w", name, err)
		}
		if current, err := i.Client.GetImage(ctx, name); status.Image != nil && err == nil {
			if config, err := current.Config(ctx); err == nil && config.Digest.String() == status.Image.Id {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for image %s (%s): %w", name, want.Digest, ctx.Err())
		case <-time.After(sightPause):
		}
	}
}
