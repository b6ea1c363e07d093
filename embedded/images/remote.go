package images

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

var (
	// ErrNoImage is what a registry says of an image that it does not have, or
	// not for the one who asks.
	ErrNoImage = errors.New("no such image for this credential")
	// ErrRegistry is returned of a registry that gives no usable answer.
	ErrRegistry = errors.New("the registry gives no usable answer")
)

// lookTimeout bounds a question to a registry, for which a client waits.
const lookTimeout = 15 * time.Second

// Account is whom to be at a registry; the zero value is nobody.
type Account struct{ Username, Password string }

// Look asks the registry of an image whether it has it, without fetching
// anything. The error is ErrNoImage or ErrRegistry; server is the registry.
func Look(ctx context.Context, image string, as Account) (server string, err error) {
	ref, err := name.ParseReference(image)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoImage, err)
	}
	server = ref.Context().RegistryStr()
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	auth := authn.Anonymous
	if as != (Account{}) {
		auth = authn.FromConfig(authn.AuthConfig{Username: as.Username, Password: as.Password})
	}
	_, err = remote.Head(ref, remote.WithContext(ctx), remote.WithAuth(auth), remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
	var answer *transport.Error
	switch {
	case err == nil:
		return server, nil
	case errors.As(err, &answer) && slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound}, answer.StatusCode):
		return server, fmt.Errorf("look for image %s: %w: %w", image, ErrNoImage, err)
	default:
		return server, fmt.Errorf("look for image %s: %w: %w", image, ErrRegistry, err)
	}
}
