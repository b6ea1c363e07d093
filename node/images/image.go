// Package images knows container images without having them: their digest and
// the part of their configuration that says how to run them. It exists because
// a container group's command replaces an image's entry point, so whoever
// starts an agent there must know what the image itself would have run; and so
// that a wrong image fails where the kubelet expects it, before a group is
// made of it.
//
// Nothing is downloaded but manifests and configurations. To the kubelet an
// image is "present" once it has been asked to pull it.
package images

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Image is what is known of an image.
type Image struct {
	// Ref is its full name, such as docker.io/library/hello:latest.
	Ref string `json:"ref"`
	// ID is the digest of its configuration, which is how Kubernetes'
	// runtimes name an image; Digest that of its manifest or index, empty for
	// one that is of no registry.
	ID     string `json:"id"`
	Digest string `json:"digest"`
	// Size is in bytes, compressed as in the registry.
	Size int64 `json:"size"`

	Entrypoint []string `json:"entrypoint,omitempty"`
	Cmd        []string `json:"cmd,omitempty"`
	Env        []string `json:"env,omitempty"`
	User       string   `json:"user,omitempty"`
	WorkingDir string   `json:"workingDir,omitempty"`
	StopSignal string   `json:"stopSignal,omitempty"`
}

// Normalise returns the full name of an image: hello is
// docker.io/library/hello:latest.
func Normalise(ref string) (string, error) {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return "", fmt.Errorf("parse image name %q: %w", ref, err)
	}
	return named.String(), nil
}

// IsID reports whether ref is an image's ID and no name.
func IsID(ref string) bool {
	_, err := digest.Parse(ref)
	return err == nil
}

// RepoDigest returns the name that stands for these bytes for ever. For an image
// of no registry that is its ID.
func (i Image) RepoDigest() string {
	if i.Digest == "" {
		return i.ID
	}
	named, err := reference.ParseDockerRef(i.Ref)
	if err != nil {
		return ""
	}
	return reference.TrimNamed(named).String() + "@" + i.Digest
}

// Registry returns the host that the image comes from.
func (i Image) Registry() string {
	named, err := reference.ParseDockerRef(i.Ref)
	if err != nil {
		return ""
	}
	return reference.Domain(named)
}

// Pinned reports whether the image's name holds a digest already.
func (i Image) Pinned() bool { return strings.Contains(i.Ref, "@") }

// RunsAsRoot reports whether the image's own user is root.
func (i Image) RunsAsRoot() bool {
	user, _, _ := strings.Cut(i.User, ":")
	return user == "" || user == "root" || user == "0"
}

// CRI returns the image as the kubelet sees it.
func (i Image) CRI() *runtimeapi.Image {
	image := &runtimeapi.Image{
		Id:   i.ID,
		Size: uint64(i.Size),
		Spec: &runtimeapi.ImageSpec{Image: i.Ref},
	}
	if i.Digest != "" {
		image.RepoDigests = []string{i.RepoDigest()}
	}
	if !i.Pinned() {
		image.RepoTags = []string{i.Ref}
	}
	user, _, _ := strings.Cut(i.User, ":")
	if uid, err := strconv.ParseInt(user, 10, 64); err == nil {
		image.Uid = &runtimeapi.Int64Value{Value: uid}
	} else {
		image.Username = user
	}
	return image
}
