package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Load adds the images of an archive, as `docker save` writes it or in OCI
// layout, which may be compressed. An archive's only image is called name if
// that is not empty. All images are added or none; the result is in the order
// of the archive.
func (s *Store) Load(ctx context.Context, stream io.Reader, name string) (_ []Image, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, done, err := s.lease(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done(err)) }()

	plain, err := compression.DecompressStream(stream)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadArchive, err)
	}
	defer plain.Close()
	store := s.Client.ContentStore()
	index, err := archive.ImportIndex(ctx, store, plain)
	if err != nil {
		return nil, badArchive(err)
	}
	found, err := contents(ctx, store, index, name)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if err := s.take(ctx, store, f); err != nil {
			return nil, err
		}
	}
	var all []Image
	for _, f := range found {
		for _, n := range []string{pinned(f.name, f.target.Digest), f.name} {
			if err := s.name(ctx, n, f.target, loaded); err != nil {
				return nil, err
			}
		}
		image, err := s.describe(ctx, f.name)
		if err != nil {
			return nil, err
		}
		s.Log.Info("image loaded", "image", image.Name, "digest", image.Digest)
		all = append(all, image)
	}
	return all, nil
}

// badArchive blames the archive, unless containerd could not do its part.
func badArchive(err error) error {
	if errdefs.IsUnavailable(err) || errdefs.IsCanceled(err) || errors.Is(err, context.Canceled) ||
		strings.Contains(err.Error(), "no space left on device") {
		return fmt.Errorf("read archive: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrBadArchive, err)
}

// named is an image of an archive and what it is going to be called.
type named struct {
	name   string
	target ocispec.Descriptor
}

// contents lists what an archive's index has.
func contents(ctx context.Context, store content.Provider, desc ocispec.Descriptor, name string) ([]named, error) {
	data, err := content.ReadBlob(ctx, store, desc)
	if err != nil {
		return nil, fmt.Errorf("read index of archive: %w", err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return nil, fmt.Errorf("%w: read its index: %w", ErrBadArchive, err)
	}
	if len(index.Manifests) == 0 {
		return nil, fmt.Errorf("%w: it holds no image", ErrBadArchive)
	}
	if name != "" && !allSame(index.Manifests) {
		return nil, fmt.Errorf("%w: the archive holds %d images; one name is not enough for them", ErrNoName, len(index.Manifests))
	}
	var all []named
	for _, m := range index.Manifests {
		called, err := Normalize(nameOf(m, name))
		if err != nil {
			return nil, err
		}
		target := ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size}
		all = append(all, named{called, target})
		if name != "" {
			break // it has been given its only name
		}
	}
	return all, nil
}

func allSame(manifests []ocispec.Descriptor) bool {
	for _, m := range manifests {
		if m.Digest != manifests[0].Digest {
			return false
		}
	}
	return true
}

// take makes one image of an archive ready: whole, for this machine, unpacked.
func (s *Store) take(ctx context.Context, store content.Store, f named) error {
	if old, err := s.Client.ImageService().Get(ctx, f.name); err == nil && old.Labels[originLabel] == builtIn {
		return fmt.Errorf("load image %s: %w", f.name, ErrBuiltIn)
	}
	here := platforms.Default()
	if err := checkPlatform(ctx, store, f, here); err != nil {
		return err
	}
	available, required, _, missing, err := images.Check(ctx, store, f.target, here)
	if err != nil || !available || len(missing) > 0 {
		err = errors.Join(err, fmt.Errorf("%d of the %d parts of image %s are missing or damaged", len(missing), len(required), f.name))
		return fmt.Errorf("%w: %w", ErrBadArchive, err)
	}
	children := images.LimitManifests(images.FilterPlatforms(images.ChildrenHandler(store), here), here, 1)
	// With its labels each part keeps those that it refers to.
	if err := images.Walk(ctx, images.SetChildrenLabels(store, children), f.target); err != nil {
		return fmt.Errorf("%w: %w", ErrBadArchive, err)
	}
	if err := s.unpack(ctx, f.name, f.target); err != nil {
		return badArchive(err)
	}
	return nil
}

// checkPlatform refuses an image that this machine cannot run.
func checkPlatform(ctx context.Context, store content.Provider, f named, here platforms.MatchComparer) error {
	if !images.IsIndexType(f.target.MediaType) {
		config, err := images.Config(ctx, store, f.target, here)
		if err != nil {
			return fmt.Errorf("%w: read image %s: %w", ErrBadArchive, f.name, err)
		}
		made, err := images.ConfigPlatform(ctx, store, config)
		if err != nil {
			return fmt.Errorf("%w: read image %s: %w", ErrBadArchive, f.name, err)
		}
		if made.Architecture == "" || here.Match(made) {
			return nil
		}
		return otherPlatform(f.name, []ocispec.Platform{made})
	}
	data, err := content.ReadBlob(ctx, store, f.target)
	if err != nil {
		return fmt.Errorf("%w: read image %s: %w", ErrBadArchive, f.name, err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(data, &index); err != nil {
		return fmt.Errorf("%w: read image %s: %w", ErrBadArchive, f.name, err)
	}
	var made []ocispec.Platform
	for _, m := range index.Manifests {
		if m.Platform == nil || here.Match(*m.Platform) {
			return nil
		}
		made = append(made, *m.Platform)
	}
	return otherPlatform(f.name, made)
}

func otherPlatform(name string, made []ocispec.Platform) error {
	var words []string
	for _, p := range made {
		if p.OS != "unknown" { // an attestation
			words = append(words, platforms.Format(p))
		}
	}
	return fmt.Errorf("%w: image %s is for %s, and this machine is %s", ErrBadArchive, name,
		strings.Join(words, ", "), platforms.DefaultString())
}
