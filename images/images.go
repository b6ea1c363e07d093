// Package images assembles the container images of Frankenetes from our own
// static binaries. It exists so that a build needs no Docker, no base images
// and no network: every image is one layer of a few files, written to an OCI
// layout from which the embedded cloud imports, and from which any tool can
// push to a registry.
//
// The same binaries give the same digests: times are fixed and entries sorted.
package images

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// RefAnnotation holds an image's full reference in the layout's index.
const RefAnnotation = "org.opencontainers.image.ref.name"

// Entry is one file, link or directory of an image.
type Entry struct {
	// Path is where it is in the image, without a leading slash.
	Path string
	// Source is the file on this machine whose content it has.
	Source string
	// Link is the target of a symbolic link.
	Link string
	// Content is used when there is no Source.
	Content string
	// Mode is the permission; a directory has os.ModeDir set, a program that
	// runs as its owner os.ModeSetuid.
	Mode os.FileMode
}

// Image is what goes into one image.
type Image struct {
	// Ref is its full reference.
	Ref string
	// Below are layers under that of the entries.
	Below      []v1.Layer
	Entries    []Entry
	Entrypoint []string
	Cmd        []string
	Env        []string
	WorkingDir string
}

// epoch is the time of every file, so that builds are reproducible.
var epoch = time.Unix(0, 0).UTC()

// Write assembles the images into an OCI layout at dir, replacing what was
// there.
func Write(dir string, images []Image) error {
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".images-")
	if err != nil {
		return fmt.Errorf("write images: %w", err)
	}
	defer os.RemoveAll(tmp)
	path, err := layout.Write(tmp, empty.Index)
	if err != nil {
		return fmt.Errorf("write images: %w", err)
	}
	for _, image := range images {
		if err := image.append(path); err != nil {
			return fmt.Errorf("assemble image %s: %w", image.Ref, err)
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("write images: %w", err)
	}
	if err := errors.Join(os.RemoveAll(dir), os.Rename(tmp, dir)); err != nil {
		return fmt.Errorf("write images: %w", err)
	}
	return nil
}

func (i Image) append(path layout.Path) error {
	img, err := i.build()
	if err != nil {
		return err
	}
	return path.AppendImage(img, layout.WithAnnotations(map[string]string{RefAnnotation: i.Ref}))
}

func (i Image) build() (v1.Image, error) {
	content, err := i.tar()
	if err != nil {
		return nil, err
	}
	img := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	img = mutate.ConfigMediaType(img, types.OCIConfigJSON)
	if img, err = mutate.AppendLayers(img, append(slices.Clone(i.Below), Layer(content))...); err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", "amd64", v1.Time{Time: epoch}
	file.Config = v1.Config{Entrypoint: i.Entrypoint, Cmd: i.Cmd, Env: i.Env, WorkingDir: i.WorkingDir}
	return mutate.ConfigFile(img, file)
}

// Layer makes a layer of a tar archive. It is not compressed: nothing travels
// over a network, and unpacking is half of what the first start of a cloud
// costs.
func Layer(tar []byte) v1.Layer { return static.NewLayer(tar, types.OCIUncompressedLayer) }

// tar writes the image's entries, with the directories that they need.
func (i Image) tar() ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range withParents(i.Entries) {
		if err := e.write(w); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// withParents adds the directories above the entries and sorts all by path.
func withParents(entries []Entry) []Entry {
	known := map[string]bool{".": true}
	var all []Entry
	for _, e := range entries {
		known[e.Path] = true
		all = append(all, e)
	}
	for _, e := range entries {
		for dir := filepath.Dir(e.Path); !known[dir]; dir = filepath.Dir(dir) {
			known[dir] = true
			all = append(all, Entry{Path: dir, Mode: os.ModeDir | 0o755})
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	return all
}

func (e Entry) write(w *tar.Writer) error {
	h := &tar.Header{Name: e.Path, Mode: int64(e.Mode.Perm()), ModTime: epoch, Format: tar.FormatPAX}
	if e.Mode&os.ModeSticky != 0 {
		h.Mode |= 0o1000
	}
	if e.Mode&os.ModeSetuid != 0 {
		h.Mode |= 0o4000
	}
	switch {
	case e.Mode.IsDir():
		h.Typeflag, h.Name = tar.TypeDir, e.Path+"/"
		return w.WriteHeader(h)
	case e.Link != "":
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Link, 0o777
		return w.WriteHeader(h)
	}
	content := []byte(e.Content)
	if e.Source != "" {
		var err error
		if content, err = os.ReadFile(e.Source); err != nil {
			return err
		}
	}
	h.Typeflag, h.Size = tar.TypeReg, int64(len(content))
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}
