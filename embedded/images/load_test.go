package images

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/images/archive"
	"github.com/containerd/platforms"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// saved is an archive as `docker save` writes it, of images by their tags.
func saved(t *testing.T, arch string, tags ...string) []byte {
	t.Helper()
	all := map[name.Tag]v1.Image{}
	for _, tag := range tags {
		image, err := random.Image(10, 1)
		if err != nil {
			t.Fatal(err)
		}
		file, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		file = file.DeepCopy()
		file.OS, file.Architecture = "linux", arch
		if image, err = mutate.ConfigFile(image, file); err != nil {
			t.Fatal(err)
		}
		parsed, err := name.NewTag(tag)
		if err != nil {
			t.Fatal(err)
		}
		all[parsed] = image
	}
	var b bytes.Buffer
	if err := tarball.MultiWrite(all, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestWhatTheImagesOfAnArchiveAreCalled(t *testing.T) {
	store := emptyStore(t)
	index, err := archive.ImportIndex(t.Context(), store, bytes.NewReader(saved(t, "amd64", "hello:v1", "registry.example.com/a/b")))
	if err != nil {
		t.Fatal(err)
	}
	found, err := contents(t.Context(), store, index, "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, f.name)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"docker.io/library/hello:v1", "registry.example.com/a/b:latest"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := contents(t.Context(), store, index, "one"); !errors.Is(err, ErrNoName) {
		t.Errorf("one name for two images: %v", err)
	}

	for given, want := range map[string]string{"app": "docker.io/library/app:latest", "frankenetes.internal/app:1": "frankenetes.internal/app:1"} {
		if full, err := Normalize(nameOf(ocispec.Descriptor{}, given)); full != want || err != nil {
			t.Errorf("%s is called %s, %v", given, full, err)
		}
	}
	for _, bad := range []string{"", "UPPER", "a b", "-x", "x:"} {
		if full, err := Normalize(bad); !errors.Is(err, ErrNoName) {
			t.Errorf("%q is called %s, %v", bad, full, err)
		}
	}
	// A tag alone, as some tools write it, is no name.
	only := ocispec.Descriptor{Annotations: map[string]string{ocispec.AnnotationRefName: "v1"}}
	if _, err := Normalize(nameOf(only, "")); !errors.Is(err, ErrNoName) {
		t.Errorf("a tag alone: %v", err)
	}
	only.Annotations[images.AnnotationImageName] = "docker.io/library/x:v1"
	if got := nameOf(only, ""); got != "docker.io/library/x:v1" {
		t.Errorf("with its full name beside it: %s", got)
	}
}

func TestAnImageForAnotherMachineIsRefused(t *testing.T) {
	here := platforms.Default()
	for arch, refused := range map[string]bool{platforms.DefaultSpec().Architecture: false, "": false, "mips": true} {
		store := emptyStore(t)
		index, err := archive.ImportIndex(t.Context(), store, bytes.NewReader(saved(t, arch, "hello:v1")))
		if err != nil {
			t.Fatal(err)
		}
		found, err := contents(t.Context(), store, index, "")
		if err != nil {
			t.Fatal(err)
		}
		err = checkPlatform(t.Context(), store, found[0], here)
		if refused && (!errors.Is(err, ErrBadArchive) || !strings.Contains(err.Error(), "linux/mips")) || !refused && err != nil {
			t.Errorf("%q: %v", arch, err)
		}
	}
}

func TestAnArchiveThatIsCutShort(t *testing.T) {
	whole := saved(t, "amd64", "hello:v1")
	for _, part := range []io.Reader{strings.NewReader(""), strings.NewReader("not an archive"), bytes.NewReader(whole[:600])} {
		if _, err := archive.ImportIndex(t.Context(), emptyStore(t), part); !errors.Is(badArchive(err), ErrBadArchive) {
			t.Errorf("%v", err)
		}
	}
	if err := badArchive(errors.New("write: no space left on device")); errors.Is(err, ErrBadArchive) {
		t.Errorf("the archive is blamed: %v", err)
	}
}
