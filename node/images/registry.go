package images

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
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
	// Mirror is whether Host also has images of other registries. Those are
	// asked for the rest, and whenever there is a credential.
	Mirror bool
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
	if r.Mirror && anonymous(auth) && !strings.HasPrefix(full, r.Host+"/") {
		image, err := r.mirrored(ctx, full)
		if missing := (*transport.Error)(nil); !errors.As(err, &missing) || missing.StatusCode != http.StatusNotFound {
			return image, err
		}
	}
	return r.get(ctx, full, parsed, auth, r.Client.Transport)
}

// mirrored asks the cloud's registry for an image of another one.
func (r Registry) mirrored(ctx context.Context, full string) (Image, error) {
	host, rest, _ := strings.Cut(full, "/")
	there, err := name.ParseReference(r.Host + "/" + rest)
	if err != nil {
		return Image{}, fmt.Errorf("parse image name %q: %w", full, err)
	}
	return r.get(ctx, full, there, nil, namespace{r.Client.Transport, host})
}

// namespace tells a mirror whose images are meant.
type namespace struct {
	http.RoundTripper
	host string
}

// RoundTrip adds the namespace to a request.
func (n namespace) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	query := req.URL.Query()
	query.Set("ns", n.host)
	req.URL.RawQuery = query.Encode()
	return n.RoundTripper.RoundTrip(req)
}

// get reads what is at a place of an image that is called full.
func (r Registry) get(ctx context.Context, full string, at name.Reference, auth *runtimeapi.AuthConfig, over http.RoundTripper) (Image, error) {
	account, err := r.account(ctx, at.Context().RegistryStr(), auth)
	if err != nil {
		return Image{}, fmt.Errorf("resolve image %q: %w", full, err)
	}
	descriptor, err := remote.Get(at, remote.WithContext(ctx), remote.WithAuth(account),
		remote.WithTransport(over), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}),
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

// anonymous reports whether a credential is none.
func anonymous(auth *runtimeapi.AuthConfig) bool {
	return auth == nil || auth.Username == "" && auth.Auth == "" && auth.IdentityToken == "" && auth.RegistryToken == ""
}

// account is whom to be at a registry.
func (r Registry) account(ctx context.Context, host string, auth *runtimeapi.AuthConfig) (authn.Authenticator, error) {
	switch {
	case !anonymous(auth):
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
