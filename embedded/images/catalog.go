package images

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// isShared reports whether everyone who has a token may read an image.
func isShared(i images.Image) bool {
	return i.Labels[originLabel] == builtIn || i.Labels[originLabel] == loaded
}

// Shared reports whether an image of the store, by any of its names, is for
// everyone.
func (s *Store) Shared(ctx context.Context, name string) (bool, error) {
	full, err := Normalize(name)
	if err != nil {
		return false, err
	}
	i, err := s.Client.ImageService().Get(ctx, full)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for image %s: %w", name, err)
	}
	return isShared(i), nil
}

// shared knows the content of the images that are shared. It is safe for
// concurrent use.
type shared struct {
	mu    sync.Mutex
	parts map[digest.Digest]map[digest.Digest]bool // by image: itself and all below it
}

// has returns nil when content belongs to an image that is shared.
func (s *shared) has(ctx context.Context, store images.Store, cs content.Provider, d digest.Digest) error {
	records, err := store.List(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := map[digest.Digest]map[digest.Digest]bool{}
	found := false
	for _, r := range records {
		if !isShared(r) {
			continue
		}
		parts := s.parts[r.Target.Digest]
		if parts == nil {
			if parts, err = partsOf(ctx, cs, r.Target); err != nil {
				return err
			}
		}
		fresh[r.Target.Digest] = parts
		found = found || parts[d]
	}
	s.parts = fresh // without the images that are gone
	if !found {
		return errdefs.ErrNotFound
	}
	return nil
}

// partsOf lists an image's content, as far as it is there.
func partsOf(ctx context.Context, cs content.Provider, target ocispec.Descriptor) (map[digest.Digest]bool, error) {
	parts := map[digest.Digest]bool{}
	list := images.HandlerFunc(func(ctx context.Context, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		parts[desc.Digest] = true
		children, err := images.Children(ctx, cs, desc)
		if errdefs.IsNotFound(err) { // of another platform, which was not loaded
			return nil, nil
		}
		return children, err
	})
	if err := images.Walk(ctx, list, target); err != nil {
		return nil, fmt.Errorf("read image %s: %w", target.Digest, err)
	}
	return parts, nil
}

// newSection reads a blob from anywhere in it.
func newSection(blob content.ReaderAt) *io.SectionReader {
	return io.NewSectionReader(blob, 0, blob.Size())
}

// catalog lists the repositories of a host.
func (g *Registry) catalog(w http.ResponseWriter, r *http.Request, host string) {
	g.list(w, r, host+"/", func(name string) string { return strings.TrimPrefix(repository(name), host+"/") },
		func(page []string) any { return map[string]any{"repositories": page} })
}

// tags lists those of a repository.
func (g *Registry) tags(w http.ResponseWriter, r *http.Request, host, name string) {
	g.list(w, r, host+"/"+name+":", tag, func(page []string) any {
		if len(page) == 0 && r.URL.Query().Get("last") == "" {
			return nil
		}
		return map[string]any{"name": name, "tags": page}
	})
}

// list answers with what the names of shared images that begin with prefix
// have in one part of theirs, in order and in pages (?n= and ?last=).
func (g *Registry) list(w http.ResponseWriter, r *http.Request, prefix string, part func(name string) string, answer func([]string) any) {
	records, err := g.Images.List(r.Context())
	if err != nil {
		g.failed(w, err, "NAME_UNKNOWN")
		return
	}
	var all []string
	for _, i := range records {
		if isShared(i) && strings.HasPrefix(i.Name, prefix) && tag(i.Name) != "" {
			all = append(all, part(i.Name))
		}
	}
	slices.Sort(all)
	query := r.URL.Query()
	rest := slices.DeleteFunc(slices.Compact(all), func(s string) bool { return s <= query.Get("last") })
	if n, err := strconv.Atoi(query.Get("n")); err == nil && n > 0 && n < len(rest) {
		rest = rest[:n]
		query.Set("last", rest[n-1])
		next := url.URL{Path: r.URL.Path, RawQuery: query.Encode()}
		w.Header().Set("Link", "<"+next.String()+`>; rel="next"`)
	}
	body := answer(append([]string{}, rest...))
	if body == nil {
		refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "not in this registry")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}
