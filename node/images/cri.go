package images

import (
	"context"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// PullImage makes an image present and returns its ID. The registry is asked for
// it with the given credential, unless the pod's group was made with the same
// one: that another pod had a right to an image does not give this pod one. For
// a local image the kubelet calls only when it knows that a pod's credential had
// brought it, so then the registry is asked too.
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
	if !known || e.local || !sameAccount(e.account, auth) {
		asked, err := s.read(ctx, full, auth)
		if err != nil {
			return "", err
		}
		if !known {
			e.image = asked.image
		}
		e.account, e.local = auth, false
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
func (s *Service) ImageStatus(ctx context.Context, spec *runtimeapi.ImageSpec, _ bool) (*runtimeapi.ImageStatusResponse, error) {
	e, ok, err := s.find(ctx, spec.GetImage())
	if err != nil || !ok {
		return &runtimeapi.ImageStatusResponse{}, err
	}
	return &runtimeapi.ImageStatusResponse{Image: e.image.CRI()}, nil
}

// ListImages returns the images that were pulled: local ones are not the
// kubelet's to clean up.
func (s *Service) ListImages(ctx context.Context, filter *runtimeapi.ImageFilter) ([]*runtimeapi.Image, error) {
	if wanted := filter.GetImage().GetImage(); wanted != "" {
		e, ok, err := s.find(ctx, wanted)
		if err != nil || !ok {
			return nil, err
		}
		return []*runtimeapi.Image{e.image.CRI()}, nil
	}
	var list []*runtimeapi.Image
	for _, image := range s.all() {
		list = append(list, image.CRI())
	}
	return list, nil
}

// RemoveImage forgets that an image was pulled.
func (s *Service) RemoveImage(_ context.Context, spec *runtimeapi.ImageSpec) error {
	for {
		e, ok := s.pulled(spec.GetImage())
		if !ok {
			return nil
		}
		s.mu.Lock()
		delete(s.present, e.image.Ref)
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
