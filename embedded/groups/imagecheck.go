package groups

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/images"
)

// checkImages refuses a group whose images cannot be had, as ACI does, before
// anything of it is made: a client would wait long for what never comes.
func (s *Service) checkImages(ctx context.Context, spec *Group) error {
	var work errgroup.Group
	for image := range spec.imageUsers() {
		work.Go(func() error { return s.checkImage(ctx, spec, image) })
	}
	return work.Wait()
}

func (s *Service) checkImage(ctx context.Context, spec *Group, image string) error {
	id, err := s.engine.localImage(ctx, image)
	if err != nil || id != "" {
		return err
	}
	inaccessible := invalid("InaccessibleImage", "The image '%s' in container group '%s' is not accessible. Please check the image and registry credential.", image, spec.Name)
	if s.engine.isOurs(image) {
		return inaccessible
	}
	var as images.Account
	if auth := spec.credential(image); auth != nil {
		as = images.Account{Username: auth.Username, Password: auth.Password}
	}
	server, err := s.options.Look(ctx, image, as)
	switch {
	case errors.Is(err, images.ErrNoImage):
		s.options.Log.Info("image is refused", "group", spec.Name, "error", err)
		return inaccessible
	case err != nil:
		s.options.Log.Warn("registry is not usable", "group", spec.Name, "error", err)
		return arm.Conflict("RegistryErrorResponse", "An error response is received from the docker registry '%s'. Please retry later.", server)
	}
	return nil
}
