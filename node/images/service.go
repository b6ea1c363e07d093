package images

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	v1 "k8s.io/api/core/v1"
	internalapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Account is the credential by which an image was read, so that the cloud can
// be given it to pull the same image.
type Account = runtimeapi.AuthConfig

// Reader reads what a registry says of an image. Registry is one.
type Reader interface {
	Read(ctx context.Context, ref string, auth *runtimeapi.AuthConfig) (Image, error)
}

// Local are the images that are already where groups run, if the node can see
// those: a runtime's own store. It finds by full name or ID.
type Local interface {
	Find(ctx context.Context, ref string) (image Image, found bool, err error)
}

// Service is the kubelet's image service. It is safe for concurrent use.
//
// A group needs the images of all its containers when it is made, which is
// before the kubelet pulls them. So the runtime asks ForPod first, and what it
// was told is what the kubelet's pull for that pod then returns: a tag that
// moves in between cannot make the two differ.
type Service struct {
	reader Reader
	// local is nil where the node sees no images.
	local Local
	// dir is the directory whose file system is reported as the images'.
	dir     string
	flights singleflight.Group

	mu sync.Mutex
	// present are the images that the kubelet has pulled, by full name.
	present map[string]entry
	// pods are the images that pods run, by pod UID and full name.
	pods map[string]map[string]entry
}

type entry struct {
	image   Image
	account *Account
	// local is of an image that no registry was asked for.
	local bool
}

var _ internalapi.ImageManagerService = (*Service)(nil)

// NewService returns a service that has pulled no image yet; those of local,
// which may be nil, are present all the same. Its images are said to be on the
// file system of dir.
func NewService(reader Reader, local Local, dir string) *Service {
	return &Service{reader: reader, local: local, dir: dir, present: map[string]entry{}, pods: map[string]map[string]entry{}}
}

// ForPod returns the image that a container of the pod with the given UID will
// run, and the account by which to pull it (nil if none is needed). The policy
// is the kubelet's: an image that may not be pulled must be present.
func (s *Service) ForPod(ctx context.Context, uid, ref string, policy v1.PullPolicy) (Image, *Account, error) {
	full, err := Normalise(ref)
	if err != nil {
		return Image{}, nil, err
	}
	s.mu.Lock()
	e, known := s.pods[uid][full]
	s.mu.Unlock()
	if !known && policy != v1.PullAlways {
		if e, known, err = s.find(ctx, full); err != nil {
			return Image{}, nil, err
		}
	}
	if !known {
		if policy == v1.PullNever {
			return Image{}, nil, fmt.Errorf("image %q is not present with pull policy of Never", ref)
		}
		if e, err = s.read(ctx, full, nil); err != nil {
			return Image{}, nil, err
		}
	}
	s.assign(uid, full, e)
	return e.image, e.account, nil
}

// Resolve returns an image of the node's own, by any name.
func (s *Service) Resolve(ctx context.Context, ref string) (Image, error) {
	full, err := Normalise(ref)
	if err != nil {
		return Image{}, err
	}
	e, err := s.read(ctx, full, nil)
	return e.image, err
}

// Release forgets what a pod runs.
func (s *Service) Release(uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, uid)
}

// Assign says that a pod runs an image, as a node that restarts finds it.
func (s *Service) Assign(uid string, image Image) { s.assign(uid, image.Ref, entry{image: image}) }

func (s *Service) assign(uid, full string, e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pods[uid] == nil {
		s.pods[uid] = map[string]entry{}
	}
	s.pods[uid][full] = e
}

// read asks the registry, once for all who ask at the same time with the same
// credential. Nobody's cancellation fails the others.
func (s *Service) read(ctx context.Context, full string, auth *runtimeapi.AuthConfig) (entry, error) {
	key := full
	if auth != nil {
		key = strings.Join([]string{full, auth.Username, auth.Password, auth.Auth, auth.IdentityToken, auth.RegistryToken}, "\x00")
	}
	flight := s.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
		defer cancel()
		return s.reader.Read(ctx, full, auth)
	})
	select {
	case <-ctx.Done():
		return entry{}, fmt.Errorf("resolve image %q: %w", full, context.Cause(ctx))
	case result := <-flight:
		if result.Err != nil {
			return entry{}, result.Err
		}
		return entry{image: result.Val.(Image), account: auth}, nil
	}
}

// readTimeout bounds the talk with a registry.
const readTimeout = time.Minute

// find returns a present image by name or ID: one that was pulled, or is local.
func (s *Service) find(ctx context.Context, ref string) (entry, bool, error) {
	if e, ok := s.pulled(ref); ok || s.local == nil {
		return e, ok, nil
	}
	image, ok, err := s.local.Find(ctx, fullOrID(ref))
	return entry{image: image, local: true}, ok, err
}

// pulled returns an image that was pulled, by name or ID.
func (s *Service) pulled(ref string) (entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.present {
		if e.image.ID == ref {
			return e, true
		}
	}
	e, ok := s.present[fullOrID(ref)]
	return e, ok
}

// fullOrID returns an image's full name, or its ID if ref is that.
func fullOrID(ref string) string {
	if full, err := Normalise(ref); err == nil && !IsID(ref) {
		return full
	}
	return ref
}

// all returns the present images, in order of their names.
func (s *Service) all() []Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	var images []Image
	for _, e := range s.present {
		images = append(images, e.image)
	}
	slices.SortFunc(images, func(a, b Image) int { return strings.Compare(a.Ref, b.Ref) })
	return images
}
