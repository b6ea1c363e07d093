package images

import (
	"fmt"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Normalize returns the full form of an image's name, which has a registry's
// host and a tag or a digest: what is called "x" is docker.io/library/x:latest.
func Normalize(name string) (string, error) {
	if name == "" {
		return "", ErrNoName
	}
	ref, err := reference.ParseDockerRef(name)
	if err != nil {
		return "", fmt.Errorf("%w: %q is no name of an image: %w", ErrNoName, name, err)
	}
	return ref.String(), nil
}

// nameOf returns what an image of an archive is called. Some tools write only
// its tag, which is no name.
func nameOf(m ocispec.Descriptor, given string) string {
	if given != "" {
		return given
	}
	if full := m.Annotations[images.AnnotationImageName]; full != "" {
		return full
	}
	if ref := m.Annotations[ocispec.AnnotationRefName]; strings.ContainsAny(ref, "/:") {
		return ref
	}
	return ""
}

// pinned returns the name that means this very image for ever.
func pinned(name string, d digest.Digest) string { return repository(name) + "@" + d.String() }

// repository returns a name in full form without tag and digest.
func repository(name string) string {
	ref, err := reference.ParseDockerRef(name)
	if err != nil {
		return name
	}
	return ref.Name()
}

// tag returns the tag of a name in full form, or nothing.
func tag(name string) string {
	rest, found := strings.CutPrefix(name, repository(name)+":")
	if !found {
		return ""
	}
	return rest
}
