package images

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TokenUser is the user name that goes with a token as password, as Azure
// Container Registry has it.
const TokenUser = "00000000-0000-0000-0000-000000000000"

// maxManifest is the largest manifest that is looked into, in bytes.
const maxManifest = 4 << 20

// Registry serves the image store as a read-only registry (the distribution
// API, v2). It asks everyone for a token of the cloud.
type Registry struct {
	// Host is the registry's name, as in the images' references.
	Host string
	// Verify accepts a token or says why not.
	Verify func(token string) error
	// Images resolves references, Content holds what they refer to.
	Images  images.Store
	Content content.Store
	// Namespace puts a context into containerd's namespace.
	Namespace func(context.Context) context.Context
	Log       *slog.Logger
}

var (
	manifestPath = regexp.MustCompile(`^/v2/([a-z0-9]+(?:[._/-]+[a-z0-9]+)*)/manifests/([A-Za-z0-9_][A-Za-z0-9_.:-]*)$`)
	blobPath     = regexp.MustCompile(`^/v2/([a-z0-9]+(?:[._/-]+[a-z0-9]+)*)/blobs/([a-z0-9]+:[a-f0-9]+)$`)
)

// ServeHTTP answers the distribution API.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if err := g.authenticate(r); err != nil {
		w.Header().Set("WWW-Authenticate", `Basic realm="`+g.Host+`"`)
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is read-only")
		return
	}
	r = r.WithContext(g.Namespace(r.Context()))
	if m := manifestPath.FindStringSubmatch(r.URL.Path); m != nil {
		g.manifest(w, r, m[1], m[2])
	} else if m := blobPath.FindStringSubmatch(r.URL.Path); m != nil {
		g.blob(w, r, m[2])
	} else if strings.TrimSuffix(r.URL.Path, "/") == "/v2" {
		w.WriteHeader(http.StatusOK)
	} else {
		refuse(w, http.StatusNotFound, "UNSUPPORTED", "no such endpoint")
	}
}

func (g *Registry) authenticate(r *http.Request) error {
	if user, password, ok := r.BasicAuth(); ok {
		if user != TokenUser {
			return errors.New("unknown user")
		}
		return g.Verify(password)
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return errors.New("no token")
	}
	return g.Verify(token)
}

// manifest answers with the manifest that a tag or a digest names.
func (g *Registry) manifest(w http.ResponseWriter, r *http.Request, name, reference string) {
	desc, err := g.resolve(r.Context(), name, reference)
	if err != nil {
		g.failed(w, err, "MANIFEST_UNKNOWN")
		return
	}
	w.Header().Set("Content-Type", desc.MediaType)
	g.send(w, r, desc.Digest, "MANIFEST_UNKNOWN")
}

func (g *Registry) resolve(ctx context.Context, name, reference string) (ocispec.Descriptor, error) {
	if !strings.Contains(reference, ":") {
		image, err := g.Images.Get(ctx, g.Host+"/"+name+":"+reference)
		return image.Target, err
	}
	d, err := digest.Parse(reference)
	if err != nil {
		return ocispec.Descriptor{}, errdefs.ErrNotFound
	}
	info, err := g.Content.Info(ctx, d)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{Digest: d, Size: info.Size, MediaType: ocispec.MediaTypeImageManifest}
	if info.Size > maxManifest {
		return desc, errdefs.ErrNotFound // a layer, no manifest
	}
	data, err := content.ReadBlob(ctx, g.Content, desc)
	if err != nil {
		return desc, err
	}
	var typed struct {
		MediaType string `json:"mediaType"`
	}
	if err := json.Unmarshal(data, &typed); err != nil {
		return desc, errdefs.ErrNotFound
	}
	if typed.MediaType != "" {
		desc.MediaType = typed.MediaType
	}
	return desc, nil
}

func (g *Registry) blob(w http.ResponseWriter, r *http.Request, reference string) {
	d, err := digest.Parse(reference)
	if err != nil {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "not a digest")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	g.send(w, r, d, "BLOB_UNKNOWN")
}

// send copies content to the client.
func (g *Registry) send(w http.ResponseWriter, r *http.Request, d digest.Digest, unknown string) {
	blob, err := g.Content.ReaderAt(r.Context(), ocispec.Descriptor{Digest: d})
	if err != nil {
		g.failed(w, err, unknown)
		return
	}
	defer blob.Close()
	w.Header().Set("Docker-Content-Digest", d.String())
	w.Header().Set("Etag", strconv.Quote(d.String()))
	w.Header().Set("Content-Length", strconv.FormatInt(blob.Size(), 10))
	if r.Method == http.MethodHead {
		return
	}
	if _, err := io.Copy(w, content.NewReader(blob)); err != nil {
		g.Log.Debug("registry answer not sent", "digest", d, "error", err)
	}
}

func (g *Registry) failed(w http.ResponseWriter, err error, unknown string) {
	w.Header().Del("Content-Type")
	if errdefs.IsNotFound(err) {
		refuse(w, http.StatusNotFound, unknown, "not in this registry")
		return
	}
	g.Log.Error("registry", "error", err)
	refuse(w, http.StatusInternalServerError, "UNKNOWN", "the image store does not answer")
}

// refuse answers with an error in the registry's format.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}
