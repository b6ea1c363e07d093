package groups

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/images"
)

// Catalog is what groups ask of images beyond what the runtime tells.
type Catalog interface {
	// Shared reports whether an image of the local store is for everyone: one
	// of the product's own, or one that its operator has loaded.
	Shared(ctx context.Context, image string) (bool, error)
	// Look asks an image's registry whether it has it, and returns the
	// registry's name with images.ErrNoImage or images.ErrRegistry.
	Look(ctx context.Context, image string, as images.Account) (server string, err error)
}

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
	if err != nil {
		return err
	}
	switch {
	case id == "" && s.engine.isOurs(image):
		return inaccessible(spec, image)
	case id == "":
		return s.ask(ctx, spec, image)
	}
	return s.checkLocal(ctx, spec, image, id)
}

// checkLocal lets a group have an image of the local store that is for
// everyone, that nobody's credential brought there, or that opens to the
// group's own credential.
func (s *Service) checkLocal(ctx context.Context, spec *Group, image, id string) error {
	hashes, private, err := s.engine.private.openedBy(id)
	if err != nil || !private {
		return err
	}
	shared, err := s.options.Catalog.Shared(ctx, image)
	auth := spec.credential(image)
	if err != nil || shared || slices.Contains(hashes, credentialHash(auth)) {
		return err
	}
	if err := s.ask(ctx, spec, image); err != nil {
		return err
	}
	return s.engine.private.opens(id, auth)
}

// ask refuses an image that its registry does not have for the group.
func (s *Service) ask(ctx context.Context, spec *Group, image string) error {
	var as images.Account
	if auth := spec.credential(image); auth != nil {
		as = images.Account{Username: auth.Username, Password: auth.Password}
	}
	server, err := s.options.Catalog.Look(ctx, image, as)
	switch {
	case errors.Is(err, images.ErrNoImage):
		s.options.Log.Info("image is refused", "group", spec.Name, "error", err)
		return inaccessible(spec, image)
	case err != nil:
		s.options.Log.Warn("registry is not usable", "group", spec.Name, "error", err)
		return arm.Conflict("RegistryErrorResponse", "An error response is received from the docker registry '%s'. Please retry later.", server)
	}
	return nil
}

func inaccessible(spec *Group, image string) error {
	return invalid("InaccessibleImage", "The image '%s' in container group '%s' is not accessible. Please check the image and registry credential.", image, spec.Name)
}
