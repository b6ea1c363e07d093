package images

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Unpacker is a Reader that also gets an image's files.
type Unpacker interface {
	// Root returns the root file system of an image as a tar archive.
	Root(ctx context.Context, image Image, auth *Account) (io.ReadCloser, error)
}

// Root returns the root file system of an image that a pod runs, as a tar
// archive, got with the credential that the pod has for it.
func (s *Service) Root(ctx context.Context, uid string, image Image) (io.ReadCloser, error) {
	unpacker, ok := s.reader.(Unpacker)
	if !ok {
		return nil, fmt.Errorf("the files of image %q cannot be had", image.Ref)
	}
	s.mu.Lock()
	account := s.pods[uid][image.Ref].account
	s.mu.Unlock()
	return unpacker.Root(ctx, image, account)
}

// Root gets an image's layers while the archive is read. The cloud's own registry
// may hold images by tag only, so that it is asked by the image's name; what it
// has must still be the image that was resolved.
func (r Registry) Root(ctx context.Context, image Image, auth *Account) (io.ReadCloser, error) {
	ref := image.RepoDigest()
	if image.Registry() == r.Host {
		ref = image.Ref
	}
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return nil, fmt.Errorf("parse image name %q: %w", ref, err)
	}
	account, err := r.account(ctx, parsed.Context().RegistryStr(), auth)
	if err != nil {
		return nil, fmt.Errorf("get image %q: %w", image.Ref, err)
	}
	got, err := remote.Image(parsed, remote.WithContext(ctx), remote.WithAuth(account), remote.WithTransport(r.Client.Transport),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
	if err != nil {
		return nil, fmt.Errorf("get image %q: %w", image.Ref, err)
	}
	id, err := got.ConfigName()
	if err != nil {
		return nil, fmt.Errorf("get image %q: %w", image.Ref, err)
	}
	if id.String() != image.ID {
		return nil, fmt.Errorf("get image %q: it is %s now, and was %s when it was resolved", image.Ref, id, image.ID)
	}
	return mutate.Extract(got), nil
}
