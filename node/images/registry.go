package images

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// tokenUser is the user name by which a registry of the cloud knows that the
// password is a token, as Azure's does.
const tokenUser = "00000000-0000-0000-0000-000000000000"

// Registry reads what registries say of images.
type Registry struct {
	// Client is the HTTP client whose transport is used.
	Client *http.Client
	// Host is the registry that answers to the cloud's tokens, and Token
	// makes those; both may be empty.
	Host  string
	Token func(context.Context) (string, error)
}

// Read asks the image's registry for its manifest and configuration. Without
// auth the cloud's own registry is asked with a token and others anonymously.
func (r Registry) Read(ctx context.Context, ref string, auth *runtimeapi.AuthConfig) (Image, error) {
	full, err := Normalise(ref)
	if err != nil {
		return Image{}, err
	}
	parsed, err := name.ParseReference(full)
	if err != nil {
		return Image{}, fmt.Errorf("parse image name %q: %w", ref, err)
	}
	account, err := r.account(ctx, parsed.Context().RegistryStr(), auth)
	if err != nil {
		return Image{}, fmt.Errorf("resolve image %q: %w", full, err)
	}
	descriptor, err := remote.Get(parsed, remote.WithContext(ctx), remote.WithAuth(account),
		remote.WithTransport(r.Client.Transport), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}),
		remote.WithRetryBackoff(remote.Backoff{Duration: 100 * time.Millisecond, Factor: 3, Steps: 3}))
	if err != nil {
		return Image{}, fmt.Errorf("resolve image %q: %w", full, err)
	}
	image, err := descriptor.Image()
	if err != nil {
		return Image{}, fmt.Errorf("resolve image %q: %w", full, err)
	}
	return describe(full, descriptor.Digest, image)
}

// account is whom to be at a registry.
func (r Registry) account(ctx context.Context, host string, auth *runtimeapi.AuthConfig) (authn.Authenticator, error) {
	switch {
	case auth != nil && (auth.Username != "" || auth.Auth != "" || auth.IdentityToken != "" || auth.RegistryToken != ""):
		return authn.FromConfig(authn.AuthConfig{Username: auth.Username, Password: auth.Password, Auth: auth.Auth,
			IdentityToken: auth.IdentityToken, RegistryToken: auth.RegistryToken}), nil
	case host == r.Host && r.Token != nil:
		token, err := r.Token(ctx)
		if err != nil {
			return nil, err
		}
		return authn.FromConfig(authn.AuthConfig{Username: tokenUser, Password: token}), nil
	}
	return authn.Anonymous, nil
}

// describe reads an image's configuration.
func describe(ref string, digest v1.Hash, image v1.Image) (Image, error) {
	manifest, err := image.Manifest()
	if err != nil {
		return Image{}, fmt.Errorf("read manifest of image %q: %w", ref, err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		return Image{}, fmt.Errorf("read configuration of image %q: %w", ref, err)
	}
	size := manifest.Config.Size
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	c := file.Config
	return Image{
		Ref: ref, ID: manifest.Config.Digest.String(), Digest: digest.String(), Size: size,
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, User: strings.TrimSpace(c.User),
		WorkingDir: c.WorkingDir, StopSignal: c.StopSignal,
	}, nil
}
