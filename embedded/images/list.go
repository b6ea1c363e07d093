package images

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Image is an image of the store as users see it.
type Image struct {
	// Name is in full form. One that has lost its tag to another image is
	// called by its digest.
	Name   string `json:"name"`
	Digest string `json:"digest"`
	// Size is what it takes in the content store, in bytes, for this
	// machine's platform.
	Size int64 `json:"size"`
	// Updated is when the name came to mean this image.
	Updated time.Time `json:"updated"`
	// BuiltIn says that it is one of the product's own.
	BuiltIn bool `json:"builtIn"`
}

// List returns the images, in the order of their names.
func (s *Store) List(ctx context.Context) ([]Image, error) {
	records, err := s.Client.ImageService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	all := []Image{}
	for _, r := range shown(records) {
		all = append(all, s.view(ctx, r))
	}
	return all, nil
}

func (s *Store) describe(ctx context.Context, name string) (Image, error) {
	r, err := s.Client.ImageService().Get(ctx, name)
	if err != nil {
		return Image{}, fmt.Errorf("look for image %s: %w", name, err)
	}
	return s.view(ctx, r), nil
}

func (s *Store) view(ctx context.Context, r images.Image) Image {
	size, err := client.NewImage(s.Client, r).Size(ctx)
	if err != nil { // damaged; the name is worth telling all the same
		s.Log.Warn("size of an image is not known", "image", r.Name, "error", err)
	}
	return Image{Name: r.Name, Digest: r.Target.Digest.String(), Size: size, Updated: r.UpdatedAt, BuiltIn: r.Labels[originLabel] == builtIn}
}

// shown leaves out the names that only the runtime uses, and the pinned ones
// of images that have a tag.
func shown(records []images.Image) []images.Image {
	tagged := map[string]bool{} // by pinned name
	for _, r := range records {
		if tag(r.Name) != "" && !isID(r.Name) {
			tagged[pinned(r.Name, r.Target.Digest)] = true
		}
	}
	list := slices.DeleteFunc(slices.Clone(records), func(r images.Image) bool { return isID(r.Name) || tagged[r.Name] })
	slices.SortFunc(list, func(a, b images.Image) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// isID reports whether a name is that which the CRI plugin gives every image:
// the digest of its configuration.
func isID(name string) bool { return strings.HasPrefix(name, "sha256:") }

// Remove takes a name from an image, and the image away if that was its last.
// users are the groups that use each image, by the name that they have for it;
// with force nobody asks them. An image of the product's own stays.
func (s *Store) Remove(ctx context.Context, name string, users map[string][]string, force bool) (string, error) {
	name, err := Normalize(name)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	records, err := s.Client.ImageService().List(ctx)
	if err != nil {
		return name, fmt.Errorf("list images: %w", err)
	}
	going, err := s.names(ctx, records, name)
	if err != nil {
		return name, err
	}
	if !force {
		for user, groups := range users {
			if full, err := Normalize(user); err == nil && slices.Contains(going, full) {
				return name, fmt.Errorf("remove image %s: %w by %s", name, ErrInUse, strings.Join(groups, ", "))
			}
		}
	}
	for i, n := range going {
		var how []images.DeleteOpt
		if i == len(going)-1 { // and the room that it took is free
			how = append(how, images.SynchronousDelete())
		}
		if err := s.Client.ImageService().Delete(ctx, n, how...); err != nil && !errdefs.IsNotFound(err) {
			return name, fmt.Errorf("remove image %s: %w", n, err)
		}
	}
	s.Log.Info("image removed", "image", name)
	return name, s.awaitNote(ctx, name, func(seen *runtimeapi.Image) bool { return seen == nil })
}

// names returns the names that go with one of them: it alone, or with it
// those that nobody ever gave the image.
func (s *Store) names(ctx context.Context, records []images.Image, name string) ([]string, error) {
	at := slices.IndexFunc(records, func(r images.Image) bool { return r.Name == name })
	if at < 0 {
		return nil, fmt.Errorf("remove image %s: %w", name, ErrNotFound)
	}
	this := records[at]
	if this.Labels[originLabel] == builtIn {
		return nil, fmt.Errorf("remove image %s: %w", name, ErrBuiltIn)
	}
	going, others := []string{name}, 0
	pin := pinned(name, this.Target.Digest)
	sibling := false // another tag of the same repository
	for _, r := range records {
		if r.Target.Digest != this.Target.Digest || r.Name == name || isID(r.Name) || r.Name == pin {
			continue
		}
		others++
		sibling = sibling || tag(r.Name) != "" && repository(r.Name) == repository(name)
	}
	if !sibling && name != pin {
		going = append(going, pin)
	}
	if others > 0 {
		return going, nil
	}
	if config, err := client.NewImage(s.Client, this).Config(ctx); err == nil {
		going = append(going, config.Digest.String())
	}
	return going, nil
}
