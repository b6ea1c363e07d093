package images

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
)

// ask sends a request with a good token and returns the answer and its body.
func ask(t *testing.T, client http.RoundTripper, method, path string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "https://frankenetes.internal"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(TokenUser, "good")
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	answer, err := client.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

// mirror serves an image under several names, one of them pulled by a group.
func mirror(t *testing.T) (digest v1.Hash, client http.RoundTripper) {
	t.Helper()
	dir, pulledDir := t.TempDir(), t.TempDir()
	digest = buildLayout(t, dir, greeting)
	store, known := fill(t, dir)
	target := known.known[greeting]
	for _, name := range []string{"frankenetes.internal/hello:v2", "frankenetes.internal/a/b:v1", "docker.io/library/hello:v1",
		"docker.io/library/hello@" + digest.String(), "sha256:" + strings.Repeat("0", 64)} {
		known.known[name] = target
	}
	path, err := layout.Write(pulledDir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	private, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(private); err != nil {
		t.Fatal(err)
	}
	i := importer{layout: pulledDir}
	index, err := i.index()
	if err != nil {
		t.Fatal(err)
	}
	if err := i.copyTree(t.Context(), store, index.Manifests[0]); err != nil {
		t.Fatal(err)
	}
	known.known["docker.io/library/private:v1"] = index.Manifests[0]
	known.pulled = map[string]bool{"docker.io/library/private:v1": true}
	return digest, serve(t, store, known)
}

func TestTheRegistryListsWhatItHas(t *testing.T) {
	_, client := mirror(t)
	for path, want := range map[string]string{
		"/v2/_catalog":                         `{"repositories":["a/b","hello"]}`,
		"/v2/_catalog?n=1":                     `{"repositories":["a/b"]}`,
		"/v2/_catalog?n=1&last=a/b":            `{"repositories":["hello"]}`,
		"/v2/_catalog?ns=docker.io":            `{"repositories":["library/hello"]}`,
		"/v2/_catalog?ns=ghcr.io":              `{"repositories":[]}`,
		"/v2/hello/tags/list":                  `{"name":"hello","tags":["v1","v2"]}`,
		"/v2/hello/tags/list?n=1":              `{"name":"hello","tags":["v1"]}`,
		"/v2/library/hello/tags/list":          `{"errors":[{"code":"NAME_UNKNOWN","message":"not in this registry"}]}`,
		"/v2/_catalog?ns=docker.io/../secrets": `{"errors":[{"code":"NAME_INVALID","message":"ns is not the host of a registry"}]}`,
	} {
		if _, body := ask(t, client, "GET", path); strings.TrimSpace(body) != want {
			t.Errorf("%s: %s", path, body)
		}
	}
	answer, _ := ask(t, client, "GET", "/v2/hello/tags/list?n=1")
	if got := answer.Header.Get("Link"); got != `</v2/hello/tags/list?last=v1&n=1>; rel="next"` {
		t.Errorf("the next page: %s", got)
	}
}

func TestTheRegistryIsAMirrorOfOthers(t *testing.T) {
	digest, client := mirror(t)
	for path, want := range map[string]int{
		"/v2/library/hello/manifests/v1?ns=docker.io":                    200,
		"/v2/library/hello/manifests/" + digest.String() + "?ns=quay.io": 200, // content is content
		"/v2/library/hello/manifests/v1":                                 404,
		"/v2/library/hello/manifests/v1?ns=ghcr.io":                      404,
	} {
		if answer, body := ask(t, client, "GET", path); answer.StatusCode != want {
			t.Errorf("%s: %d %s", path, answer.StatusCode, body)
		}
	}
}

// TestWhatAGroupPulledIsItsOwn asks for an image that a group pulled, perhaps
// with a password that the one who asks does not have.
func TestWhatAGroupPulledIsItsOwn(t *testing.T) {
	dir := t.TempDir()
	hash := buildLayout(t, dir, greeting)
	store, known := fill(t, dir)
	known.pulled = map[string]bool{greeting: true}
	client := serve(t, store, known)
	paths := []string{"/v2/hello/manifests/v1", "/v2/hello/manifests/" + hash.String()}
	manifest, err := images.Manifest(t.Context(), store, known.known[greeting], platforms.All)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range append(manifest.Layers, manifest.Config) {
		paths = append(paths, "/v2/hello/blobs/"+part.Digest.String())
	}
	for _, path := range paths {
		if answer, _ := ask(t, client, "GET", path); answer.StatusCode != 404 {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
	}
	known.pulled[greeting] = false // and then the operator loads it
	for _, path := range paths {
		if answer, _ := ask(t, client, "GET", path); answer.StatusCode != 200 {
			t.Errorf("%s after it was loaded: %d", path, answer.StatusCode)
		}
	}
}

func TestPartsOfABlob(t *testing.T) {
	_, client := mirror(t)
	path := "/v2/hello/blobs/" + digest.FromString("a layer").String()
	answer, body := ask(t, client, "GET", path, "Range", "bytes=2-4")
	if answer.StatusCode != 206 || body != "lay" || answer.Header.Get("Content-Range") != "bytes 2-4/7" {
		t.Errorf("%d %q %s", answer.StatusCode, body, answer.Header.Get("Content-Range"))
	}
	if answer, _ = ask(t, client, "GET", path, "Range", "bytes=9-"); answer.StatusCode != 416 {
		t.Errorf("past the end: %d", answer.StatusCode)
	}
	answer, body = ask(t, client, "HEAD", path)
	if answer.StatusCode != 200 || body != "" || answer.ContentLength != 7 {
		t.Errorf("HEAD: %d, %d bytes announced, %q", answer.StatusCode, answer.ContentLength, body)
	}
	if answer, _ = ask(t, client, "GET", path, "If-None-Match", answer.Header.Get("Etag")); answer.StatusCode != 304 {
		t.Errorf("asked again: %d", answer.StatusCode)
	}
}

// multi writes an index of this machine's and of another architecture.
func multi(t *testing.T, dir string) {
	t.Helper()
	index := v1.ImageIndex(empty.Index)
	for _, arch := range []string{platforms.DefaultSpec().Architecture, "mips"} {
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
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{ocispec.AnnotationRefName: greeting})); err != nil {
		t.Fatal(err)
	}
}

func TestOldClientsGetThisMachinesManifest(t *testing.T) {
	dir := t.TempDir()
	multi(t, dir)
	i := importer{layout: dir}
	index, err := i.index()
	if err != nil {
		t.Fatal(err)
	}
	store := emptyStore(t)
	copyAll(t, i, store, index.Manifests[0])
	client := serve(t, store, names{known: map[string]ocispec.Descriptor{greeting: index.Manifests[0]}})
	const docker = "application/vnd.docker.distribution.manifest.v2+json"
	var got []string
	for _, accept := range []string{ocispec.MediaTypeImageIndex, "*/*", docker + ", " + images.MediaTypeDockerSchema2ManifestList, docker} {
		answer, _ := ask(t, client, "GET", "/v2/hello/manifests/v1", "Accept", accept)
		got = append(got, answer.Header.Get("Content-Type"))
	}
	_, whole := ask(t, client, "GET", "/v2/hello/manifests/v1")
	if !strings.Contains(whole, "mips") {
		t.Errorf("a client that says nothing gets %s", whole)
	}
	want := []string{ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageIndex, docker, docker}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// copyAll copies all that a descriptor refers to, of whatever platform.
func copyAll(t *testing.T, i importer, store content.Store, desc ocispec.Descriptor) {
	t.Helper()
	every := images.HandlerFunc(func(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		if err := i.copyBlob(ctx, store, d); err != nil {
			return nil, err
		}
		return images.Children(ctx, store, d)
	})
	if err := images.Walk(t.Context(), every, desc); err != nil {
		t.Fatal(err)
	}
}

func TestNamesAreShownOnce(t *testing.T) {
	d1, d2 := digest.FromString("1"), digest.FromString("2")
	record := func(name string, d digest.Digest) images.Image {
		return images.Image{Name: name, Target: ocispec.Descriptor{Digest: d}}
	}
	var got []string
	for _, r := range shown([]images.Image{
		record("docker.io/library/b:v1", d2), record("docker.io/library/a:v1", d1), record("docker.io/library/a@"+d1.String(), d1),
		record("docker.io/library/b@"+d1.String(), d1), record(d1.String(), d1),
	}) {
		got = append(got, r.Name)
	}
	want := []string{"docker.io/library/a:v1", "docker.io/library/b:v1", "docker.io/library/b@" + d1.String()}
	if !slices.Equal(got, want) { // the last has lost its tag to another image
		t.Errorf("%s", got)
	}
}
