package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"time"

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

// Root gets an image's layers while the archive is read. The image is asked for
// where Read finds it, by its name, since the cloud's registry may hold it by tag
// only; and by its digest if that name stands for another image by now.
func (r Registry) Root(ctx context.Context, image Image, auth *Account) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	// The layers may take longer than what is said of them.
	late := time.AfterFunc(readTimeout, func() { cancel(fmt.Errorf("nothing came within %s", readTimeout)) })
	defer late.Stop()
	var failures []error
	for _, at := range r.places(image, auth) {
		got, err := r.image(ctx, at, auth)
		if err == nil {
			err = is(got, image.ID)
		}
		if err == nil {
			return archive{mutate.Extract(got), cancel}, nil
		}
		failures = append(failures, err)
	}
	err := errors.Join(append(failures, context.Cause(ctx))...)
	cancel(nil)
	return nil, fmt.Errorf("get image %q: %w", image.Ref, err)
}

// place is where an image may be.
type place struct {
	ref  string
	over http.RoundTripper
}

func (r Registry) places(image Image, auth *Account) []place {
	over := r.Client.Transport
	places := []place{{image.Ref, over}, {image.RepoDigest(), over}}
	if r.Mirror && anonymous(auth) && image.Registry() != r.Host {
		host, rest, _ := strings.Cut(image.Ref, "/")
		places = append([]place{{r.Host + "/" + rest, namespace{over, host}}}, places...)
	}
	return places
}

// image finds an image of this machine's kind.
func (r Registry) image(ctx context.Context, at place, auth *Account) (v1.Image, error) {
	parsed, err := name.ParseReference(at.ref)
	if err != nil {
		return nil, err
	}
	account, err := r.account(ctx, parsed.Context().RegistryStr(), auth)
	if err != nil {
		return nil, err
	}
	return remote.Image(parsed, remote.WithContext(ctx), remote.WithAuth(account), remote.WithTransport(at.over),
		remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}))
}

// is checks that an image is the one with an ID.
func is(image v1.Image, id string) error {
	got, err := image.ConfigName()
	if err != nil {
		return err
	}
	if got.String() != id {
		return fmt.Errorf("it is %s now, and was %s when it was resolved", got, id)
	}
	return nil
}

// archive ends, when it is closed, what it is still read from.
type archive struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

// Close ends the reading.
func (a archive) Close() error {
	a.cancel(nil)
	return a.ReadCloser.Close()
}
