package images

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// fakeBuild is a directory of binaries as a build leaves them.
func fakeBuild(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"hyperkube", "await", "etcd-launcher", "pause", "agent", "hello", "agnhost", "busybox"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("I am "+name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return bin
}

func write(t *testing.T, bin string) map[string]string {
	t.Helper()
	dir := filepath.Join(bin, "images")
	if err := Write(dir, All(bin, "v1.2.3", filepath.Join(bin, "busybox"))); err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{}
	for _, m := range manifest.Manifests {
		digests[m.Annotations[RefAnnotation]] = m.Digest.String()
	}
	return digests
}

func TestTheSameBinariesGiveTheSameDigests(t *testing.T) {
	bin := fakeBuild(t)
	first, second := write(t, bin), write(t, bin)
	if len(first) != 6 {
		t.Fatalf("got %d images, want 6: %v", len(first), first)
	}
	for ref, digest := range first {
		if second[ref] != digest {
			t.Errorf("%s: %s at first, %s then", ref, digest, second[ref])
		}
	}
	if err := os.WriteFile(filepath.Join(bin, "hello"), []byte("I am another"), 0o755); err != nil {
		t.Fatal(err)
	}
	third := write(t, bin)
	if third[Registry+"/hello:latest"] == first[Registry+"/hello:latest"] {
		t.Error("another hello has the same digest")
	}
	if third[Registry+"/agent:latest"] != first[Registry+"/agent:latest"] {
		t.Error("the agent's digest changed with hello")
	}
}

func TestHyperkubeHasEveryComponent(t *testing.T) {
	img, err := All(fakeBuild(t), "v1.2.3", "/none")[0].build()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	// What is stored is the tar itself.
	content, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var names []string
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
	for _, name := range components {
		if !slices.Contains(names, "usr/local/bin/"+name) {
			t.Errorf("no %s in %v", name, names)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("entries are not sorted: %v", names)
	}
}

func TestAMissingBinaryIsNamed(t *testing.T) {
	bin := fakeBuild(t)
	if err := os.Remove(filepath.Join(bin, "agent")); err != nil {
		t.Fatal(err)
	}
	err := Write(filepath.Join(bin, "images"), All(bin, "v1.2.3", "/none"))
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v, want an error about a missing file", err)
	}
	if left, _ := filepath.Glob(filepath.Join(bin, ".images-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
