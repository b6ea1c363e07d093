package images

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/errdefs"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// names are an image store with only the part that a registry reads.
type names struct {
	images.Store
	known map[string]ocispec.Descriptor
	// pulled are those that a group brought.
	pulled map[string]bool
}

func (n names) Get(_ context.Context, name string) (images.Image, error) {
	target, ok := n.known[name]
	if !ok {
		return images.Image{}, errdefs.ErrNotFound
	}
	image := images.Image{Name: name, Target: target}
	if !n.pulled[name] {
		image.Labels = map[string]string{originLabel: loaded}
	}
	return image, nil
}

func (n names) List(context.Context, ...string) ([]images.Image, error) {
	var list []images.Image
	for name := range n.known {
		image, _ := n.Get(context.Background(), name)
		list = append(list, image)
	}
	return list, nil
}

// buildLayout writes an image to an OCI layout and returns its digest.
func buildLayout(t *testing.T, dir, ref string) v1.Hash {
	t.Helper()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, static.NewLayer([]byte("a layer"), types.OCIUncompressedLayer)); err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.Config(image, v1.Config{Entrypoint: []string{"/run"}}); err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(image, layout.WithAnnotations(map[string]string{ocispec.AnnotationRefName: ref})); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

func emptyStore(t *testing.T) content.Store {
	t.Helper()
	store, err := local.NewLabeledStore(filepath.Join(t.TempDir(), "content"), labels{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// fill imports a layout into a content store of containerd's own kind.
func fill(t *testing.T, dir string) (content.Store, names) {
	t.Helper()
	store := emptyStore(t)
	importer := importer{layout: dir}
	index, err := importer.index()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]ocispec.Descriptor{}
	for _, m := range index.Manifests {
		if err := importer.copyTree(t.Context(), store, m); err != nil {
			t.Fatal(err)
		}
		known[m.Annotations[ocispec.AnnotationRefName]] = m
	}
	return store, names{known: known}
}

// labels are a label store in memory.
type labels map[digest.Digest]map[string]string

func (l labels) Get(d digest.Digest) (map[string]string, error) { return l[d], nil }

func (l labels) Set(d digest.Digest, set map[string]string) error {
	l[d] = set
	return nil
}

func (l labels) Update(d digest.Digest, change map[string]string) (map[string]string, error) {
	if l[d] == nil {
		l[d] = map[string]string{}
	}
	for k, v := range change {
		l[d][k] = v
	}
	return l[d], nil
}

const greeting = "frankenetes.internal/hello:v1"

// open serves a registry of one image and returns a client's way to it.
func open(t *testing.T) (digest v1.Hash, client http.RoundTripper) {
	t.Helper()
	dir := t.TempDir()
	digest = buildLayout(t, dir, greeting)
	store, known := fill(t, dir)
	return digest, serve(t, store, known)
}

// serve serves a registry and returns a client's way to it.
func serve(t *testing.T, store content.Store, known names) http.RoundTripper {
	t.Helper()
	server := httptest.NewTLSServer(&Registry{Host: "frankenetes.internal", Images: known, Content: store,
		Namespace: func(ctx context.Context) context.Context { return ctx },
		Verify: func(token string) error {
			if token != "good" {
				return errors.New("not a token")
			}
			return nil
		},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.ServerName = "example.com" // what the test server's certificate is for
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func TestPullFromTheRegistry(t *testing.T) {
	digest, transport := open(t)
	for _, auth := range []authn.AuthConfig{{Username: TokenUser, Password: "good"}, {RegistryToken: "good"}} {
		for _, ref := range []string{greeting, "frankenetes.internal/hello@" + digest.String()} {
			parsed, err := name.ParseReference(ref)
			if err != nil {
				t.Fatal(err)
			}
			image, err := remote.Image(parsed, remote.WithTransport(transport), remote.WithAuth(authn.FromConfig(auth)))
			if err != nil {
				t.Fatalf("%s: %v", ref, err)
			}
			config, err := image.ConfigFile()
			if err != nil || len(config.Config.Entrypoint) != 1 || config.Config.Entrypoint[0] != "/run" {
				t.Errorf("%s: config %v, %v", ref, config, err)
			}
			layers, err := image.Layers()
			if err != nil {
				t.Fatal(err)
			}
			blob, err := layers[0].Compressed()
			if err != nil {
				t.Fatal(err)
			}
			if content, err := io.ReadAll(blob); err != nil || string(content) != "a layer" {
				t.Errorf("%s: layer %q, %v", ref, content, err)
			}
			blob.Close()
		}
	}
}

func TestTheRegistryAsksWhoYouAre(t *testing.T) {
	digest, transport := open(t)
	manifest := "/v2/hello/manifests/v1"
	for _, c := range []struct {
		method, path, user, password string
		want                         int
	}{
		{"GET", "/v2/", "", "", 401},
		{"GET", manifest, "", "", 401},
		{"GET", "/anything", "", "", 401},
		{"GET", manifest, TokenUser, "bad", 401},
		{"GET", manifest, "operator", "good", 401},
		{"GET", "/v2/", TokenUser, "good", 200},
		{"HEAD", manifest, TokenUser, "good", 200},
		{"PUT", manifest, TokenUser, "good", 405},
		{"DELETE", "/v2/hello/blobs/" + digest.String(), TokenUser, "good", 405},
		{"GET", "/v2/hello/manifests/v2", TokenUser, "good", 404},
		{"GET", "/v2/absent/manifests/v1", TokenUser, "good", 404},
		{"GET", "/v2/hello/blobs/sha256:" + strings.Repeat("0", 64), TokenUser, "good", 404},
		{"GET", "/v2/hello/blobs/sha256:0", TokenUser, "good", 400},
		{"GET", "/v2/../../etc/passwd", TokenUser, "good", 404},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, "https://frankenetes.internal"+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.user != "" {
			request.SetBasicAuth(c.user, c.password)
		}
		answer, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != c.want {
			t.Errorf("%s %s as %q: %d, want %d", c.method, c.path, c.user, answer.StatusCode, c.want)
		}
		if c.want == 401 && !strings.HasPrefix(answer.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s %s: no challenge", c.method, c.path)
		}
		if c.want >= 400 && !strings.Contains(string(body), `"errors"`) {
			t.Errorf("%s %s: %s", c.method, c.path, body)
		}
	}
}
