package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// Import copies every image of an OCI layout, a directory with index.json and
// blobs, that containerd lacks or has in another version, side by side, and
// returns when containers can be made of them. They are the product's own.
func (s *Store) Import(ctx context.Context, layout string) (err error) {
	s.mu.Lock() // two imports of one blob would be in each other's way
	defer s.mu.Unlock()
	started := time.Now()
	i := importer{Store: s, layout: layout}
	index, err := i.index()
	if err != nil {
		return err
	}
	ctx, done, err := s.lease(ctx) // nothing is collected half way
	if err != nil {
		return fmt.Errorf("import images: %w", err)
	}
	defer func() { err = errors.Join(err, done(err)) }()
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
	s.Log.Info("images imported", "copied", copied.Load(), "of", len(index.Manifests), "took", time.Since(started).Round(time.Millisecond))
	return nil
}

// importer copies images from one layout.
type importer struct {
	*Store
	layout string
}

func (i importer) index() (ocispec.Index, error) {
	var index ocispec.Index
	data, err := os.ReadFile(filepath.Join(i.layout, ocispec.ImageIndexFile))
	if err != nil {
		return index, fmt.Errorf("read image layout: %w", err)
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return index, fmt.Errorf("read image layout %s: %w", i.layout, err)
	}
	return index, nil
}

// has reports whether the image is there, in this version and unpacked.
func (i importer) has(ctx context.Context, name string, want ocispec.Descriptor) (bool, error) {
	image, err := i.Client.GetImage(ctx, name)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for image %s: %w", name, err)
	}
	if image.Target().Digest != want.Digest || image.Labels()[originLabel] != builtIn {
		return false, nil
	}
	unpacked, err := image.IsUnpacked(ctx, snapshotter)
	if err != nil {
		return false, nil // its content is damaged: import it again
	}
	return unpacked, nil
}

// one copies an image's blobs, unpacks it and names it.
func (i importer) one(ctx context.Context, name string, manifest ocispec.Descriptor) error {
	started := time.Now()
	if err := i.copyTree(ctx, i.Client.ContentStore(), manifest); err != nil {
		return fmt.Errorf("import image %s: %w", name, err)
	}
	copied := time.Since(started)
	target := ocispec.Descriptor{MediaType: manifest.MediaType, Digest: manifest.Digest, Size: manifest.Size}
	if err := i.unpack(ctx, name, target); err != nil {
		return err
	}
	unpacked := time.Since(started) - copied
	if err := i.name(ctx, name, target, builtIn); err != nil {
		return err
	}
	i.Log.Info("image imported", "image", name, "took", time.Since(started).Round(time.Millisecond),
		"copy", copied.Round(time.Millisecond), "unpack", unpacked.Round(time.Millisecond))
	return nil
}

// copyTree copies the manifest and what it refers to, leaves first, and labels
// each with its children so that containerd's collector keeps them.
func (i importer) copyTree(ctx context.Context, cs content.Store, manifest ocispec.Descriptor) error {
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

func (i importer) copyBlob(ctx context.Context, cs content.Store, blob ocispec.Descriptor) error {
	if _, err := cs.Info(ctx, blob.Digest); err == nil {
		return nil
	}
	f, err := os.Open(filepath.Join(i.layout, ocispec.ImageBlobsDir, blob.Digest.Algorithm().String(), blob.Digest.Encoded()))
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
