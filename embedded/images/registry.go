package images

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TokenUser is the user name that goes with a token as password, as Azure
// Container Registry has it.
const TokenUser = "00000000-0000-0000-0000-000000000000"

// maxManifest is the largest manifest that is looked into, in bytes.
const maxManifest = 4 << 20

// Registry serves the image store as a read-only registry (the distribution
// API, v2), and as a mirror of others for the images of theirs that the
// operator loaded: clients name the other registry with ?ns=, as containerd
// does. It asks everyone for a token of the cloud. What groups pulled with
// credentials of their own is not shown.
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

	shared shared
}

var (
	apiPath = regexp.MustCompile(`^/v2/([a-z0-9]+(?:[._/-]+[a-z0-9]+)*)/(manifests|blobs|tags)/([A-Za-z0-9_][A-Za-z0-9_.:-]*)$`)
	// nsPattern is the host of another registry.
	nsPattern = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)
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
	host := r.URL.Query().Get("ns")
	if host == "" {
		host = g.Host
	} else if !nsPattern.MatchString(host) {
		refuse(w, http.StatusBadRequest, "NAME_INVALID", "ns is not the host of a registry")
		return
	}
	r = r.WithContext(g.Namespace(r.Context()))
	m := apiPath.FindStringSubmatch(r.URL.Path)
	switch {
	case strings.TrimSuffix(r.URL.Path, "/") == "/v2":
		w.WriteHeader(http.StatusOK)
	case r.URL.Path == "/v2/_catalog":
		g.catalog(w, r, host)
	case m != nil && m[2] == "manifests":
		g.manifest(w, r, host+"/"+m[1], m[3])
	case m != nil && m[2] == "blobs":
		g.blob(w, r, m[3])
	case m != nil && m[3] == "list":
		g.tags(w, r, host, m[1])
	default:
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
func (g *Registry) manifest(w http.ResponseWriter, r *http.Request, repository, reference string) {
	desc, err := g.resolve(r.Context(), repository, reference)
	if err == nil && images.IsIndexType(desc.MediaType) && !accepts(r, desc.MediaType) {
		desc, err = g.forThisMachine(r.Context(), desc)
	}
	if err != nil {
		g.failed(w, err, "MANIFEST_UNKNOWN")
		return
	}
	g.send(w, r, desc.Digest, desc.MediaType, "MANIFEST_UNKNOWN")
}

// resolve finds a manifest. A tag must be one that is shown; what a digest
// names must be a part of an image that is.
func (g *Registry) resolve(ctx context.Context, repository, reference string) (ocispec.Descriptor, error) {
	if !strings.Contains(reference, ":") {
		image, err := g.Images.Get(ctx, repository+":"+reference)
		if err == nil && !isShared(image) {
			err = errdefs.ErrNotFound
		}
		return image.Target, err
	}
	d, err := digest.Parse(reference)
	if err != nil {
		return ocispec.Descriptor{}, errdefs.ErrNotFound
	}
	if err := g.shared.has(ctx, g.Images, g.Content, d); err != nil {
		return ocispec.Descriptor{}, err
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
		MediaType string            `json:"mediaType"`
		Manifests []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(data, &typed); err != nil {
		return desc, errdefs.ErrNotFound
	}
	if typed.MediaType != "" {
		desc.MediaType = typed.MediaType
	} else if len(typed.Manifests) > 0 {
		desc.MediaType = ocispec.MediaTypeImageIndex
	}
	return desc, nil
}

// accepts reports whether a client takes a type. One that says nothing of
// what it takes is not one that knows only old types.
func accepts(r *http.Request, mediaType string) bool {
	stated := r.Header.Values("Accept")
	for _, part := range strings.Split(strings.Join(stated, ","), ",") {
		kind, _, _ := strings.Cut(part, ";")
		if kind = strings.TrimSpace(kind); kind == mediaType || kind == "*/*" {
			return true
		}
	}
	return len(stated) == 0
}

// forThisMachine picks an index's manifest for a client that knows no indexes.
func (g *Registry) forThisMachine(ctx context.Context, index ocispec.Descriptor) (ocispec.Descriptor, error) {
	children, err := images.Children(ctx, g.Content, index)
	if err != nil {
		return index, err
	}
	for _, c := range children {
		if c.Platform == nil || platforms.Default().Match(*c.Platform) {
			return c, nil
		}
	}
	return index, errdefs.ErrNotFound
}

func (g *Registry) blob(w http.ResponseWriter, r *http.Request, reference string) {
	d, err := digest.Parse(reference)
	if err != nil {
		refuse(w, http.StatusBadRequest, "DIGEST_INVALID", "not a digest")
		return
	}
	if err := g.shared.has(r.Context(), g.Images, g.Content, d); err != nil {
		g.failed(w, err, "BLOB_UNKNOWN")
		return
	}
	g.send(w, r, d, "application/octet-stream", "BLOB_UNKNOWN")
}

// send answers with content, or with the part of it that is asked for.
func (g *Registry) send(w http.ResponseWriter, r *http.Request, d digest.Digest, mediaType, unknown string) {
	blob, err := g.Content.ReaderAt(r.Context(), ocispec.Descriptor{Digest: d})
	if err != nil {
		g.failed(w, err, unknown)
		return
	}
	defer blob.Close()
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", d.String())
	w.Header().Set("Etag", strconv.Quote(d.String()))
	http.ServeContent(w, r, "", time.Time{}, newSection(blob))
}

func (g *Registry) failed(w http.ResponseWriter, err error, unknown string) {
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
