package images

import (
	"context"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// PullImage makes an image present and returns its ID. The registry is asked for
// it with the given credential, unless the pod's group was made with the same
// one: that another pod had a right to an image does not give this pod one.
func (s *Service) PullImage(ctx context.Context, spec *runtimeapi.ImageSpec, auth *runtimeapi.AuthConfig,
	sandbox *runtimeapi.PodSandboxConfig) (string, error) {
	full, err := Normalise(spec.GetImage())
	if err != nil {
		return "", err
	}
	uid := sandbox.GetMetadata().GetUid()
	s.mu.Lock()
	e, known := s.pods[uid][full]
	s.mu.Unlock()
	if !known || !sameAccount(e.account, auth) {
		asked, err := s.read(ctx, full, auth)
		if err != nil {
			return "", err
		}
		if !known {
			e.image = asked.image
		}
		e.account = auth
	}
	s.mu.Lock()
	s.present[full] = e
	s.mu.Unlock()
	if uid != "" {
		s.assign(uid, full, e)
	}
	return e.image.ID, nil
}

// sameAccount reports whether two credentials are equal; none and an empty one
// are.
func sameAccount(a, b *Account) bool {
	for _, field := range []func(*Account) string{
		(*Account).GetUsername, (*Account).GetPassword, (*Account).GetAuth,
		(*Account).GetIdentityToken, (*Account).GetRegistryToken,
	} {
		if field(a) != field(b) {
			return false
		}
	}
	return true
}

// ImageStatus returns a present image, by name or ID; one that is not present
// is no error.
func (s *Service) ImageStatus(_ context.Context, spec *runtimeapi.ImageSpec, _ bool) (*runtimeapi.ImageStatusResponse, error) {
	image, ok := s.find(spec.GetImage())
	if !ok {
		return &runtimeapi.ImageStatusResponse{}, nil
	}
	return &runtimeapi.ImageStatusResponse{Image: image.CRI()}, nil
}

// ListImages returns the present images.
func (s *Service) ListImages(_ context.Context, filter *runtimeapi.ImageFilter) ([]*runtimeapi.Image, error) {
	if wanted := filter.GetImage().GetImage(); wanted != "" {
		image, ok := s.find(wanted)
		if !ok {
			return nil, nil
		}
		return []*runtimeapi.Image{image.CRI()}, nil
	}
	var list []*runtimeapi.Image
	for _, image := range s.all() {
		list = append(list, image.CRI())
	}
	return list, nil
}

// RemoveImage makes an image not present.
func (s *Service) RemoveImage(_ context.Context, spec *runtimeapi.ImageSpec) error {
	for {
		image, ok := s.find(spec.GetImage())
		if !ok {
			return nil
		}
		s.mu.Lock()
		delete(s.present, image.Ref)
		s.mu.Unlock()
	}
}

// ImageFsInfo says that images take no room on the node.
func (s *Service) ImageFsInfo(context.Context) (*runtimeapi.ImageFsInfoResponse, error) {
	usage := []*runtimeapi.FilesystemUsage{{
		Timestamp:  time.Now().UnixNano(),
		FsId:       &runtimeapi.FilesystemIdentifier{Mountpoint: s.dir},
		UsedBytes:  &runtimeapi.UInt64Value{},
		InodesUsed: &runtimeapi.UInt64Value{},
	}}
	return &runtimeapi.ImageFsInfoResponse{ImageFilesystems: usage, ContainerFilesystems: usage}, nil
}

// Close does nothing: the service has no connection of its own.
func (s *Service) Close(context.Context) error { return nil }
