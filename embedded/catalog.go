package embedded

import (
	"context"

	"frankenetes.dev/embedded/groups"
	"frankenetes.dev/embedded/images"
)

// catalog tells groups whom images are for.
type catalog struct{ store *images.Store }

var _ groups.Catalog = catalog{}

func (c catalog) Shared(ctx context.Context, image string) (bool, error) {
	return c.store.Shared(inNamespace(ctx), image)
}

func (catalog) Look(ctx context.Context, image string, as images.Account) (string, error) {
	return images.Look(ctx, image, as)
}
