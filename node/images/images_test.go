package images_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/node/images"
)

func TestNormalise(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for in, want := range map[string]string{
		"hello":                           "docker.io/library/hello:latest",
		"me/hello:2":                      "docker.io/me/hello:2",
		"frankenetes.internal/hello":      "frankenetes.internal/hello:latest",
		"localhost:5000/a/b:c":            "localhost:5000/a/b:c",
		"registry.k8s.io/pause@" + digest: "registry.k8s.io/pause@" + digest,
	} {
		if got, err := images.Normalise(in); err != nil || got != want {
			t.Errorf("Normalise(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	if got, err := images.Normalise("No Such"); err == nil {
		t.Errorf("Normalise(No Such) = %q, want an error", got)
	}
}

func TestUserAsTheKubeletSeesIt(t *testing.T) {
	for user, want := range map[string]struct {
		uid  *int64
		name string
		root bool
	}{
		"":          {root: true},
		"0":         {uid: new(int64), root: true},
		"root:root": {name: "root", root: true},
		"1000:50":   {uid: ptr(int64(1000))},
		"nobody":    {name: "nobody"},
	} {
		i := images.Image{Ref: "docker.io/library/a:b", User: user}
		got := i.CRI()
		if (got.Uid == nil) != (want.uid == nil) || got.Uid.GetValue() != value(want.uid) || got.Username != want.name {
			t.Errorf("user %q is uid %v name %q, want %v %q", user, got.Uid, got.Username, want.uid, want.name)
		}
		if i.RunsAsRoot() != want.root {
			t.Errorf("user %q: RunsAsRoot = %v", user, !want.root)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func value(p *int64) int64 {
	if p == nil {
		return 0
	}
	return *p
}

// program is a layer with one file.
func program(t *testing.T) io.Reader {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	const text = "the program"
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "web", Mode: 0o755, Size: int64(len(text))}); err != nil {
		t.Error(err)
	}
	_, err := io.WriteString(w, text)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Error(err)
	}
	return &b
}

// server is a registry on loopback with one image, which lets in whoever may.
func server(t *testing.T, may func(user, password string) bool) (ref string, reader images.Registry) {
	t.Helper()
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	handler := func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if !may(user, password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		store.ServeHTTP(w, r)
	}
	open := httptest.NewServer(store)
	t.Cleanup(open.Close)
	guarded := httptest.NewServer(http.HandlerFunc(handler))
	t.Cleanup(guarded.Close)
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(program(t)), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	image, err = mutate.Config(image, v1.Config{
		Entrypoint: []string{"/web"}, Cmd: []string{"serve"}, Env: []string{"PATH=/bin"},
		User: "1000:1000", WorkingDir: "/srv", StopSignal: "SIGQUIT"})
	if err != nil {
		t.Fatal(err)
	}
	to, err := name.ParseReference(strings.TrimPrefix(open.URL, "http://") + "/team/web:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(to, image); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(guarded.URL, "http://")
	return host + "/team/web:v1", images.Registry{Client: guarded.Client(), Host: host}
}

func TestAMirrorIsAskedBeforeTheRegistryItself(t *testing.T) {
	ref, mirror := server(t, func(string, string) bool { return true })
	other, _ := server(t, func(string, string) bool { return true })
	var asked []string // for images of whom
	empty := false
	mirror.Client.Transport = spy(func(req *http.Request) (*http.Response, error) {
		if ns := req.URL.Query().Get("ns"); ns != "" {
			asked = append(asked, ns)
			if empty {
				answer := httptest.NewRecorder()
				answer.WriteHeader(http.StatusNotFound)
				return answer.Result(), nil
			}
		}
		return http.DefaultTransport.RoundTrip(req)
	})
	elsewhere := "elsewhere.invalid/team/web:v1"
	if _, err := mirror.Read(t.Context(), elsewhere, nil); err == nil || len(asked) > 0 {
		t.Errorf("a registry that is no mirror was asked for images of %v: %v", asked, err)
	}
	mirror.Mirror = true
	got, err := mirror.Read(t.Context(), elsewhere, nil)
	if err != nil || got.Ref != elsewhere || !slices.Contains(asked, "elsewhere.invalid") {
		t.Errorf("%+v, %v; asked for images of %v", got, err, asked)
	}
	if files, err := mirror.Root(t.Context(), got, nil); err != nil {
		t.Errorf("its files: %v", err)
	} else if err := files.Close(); err != nil {
		t.Error(err)
	}
	asked, empty = nil, true
	if got, err := mirror.Read(t.Context(), other, nil); err != nil || got.Ref != other || len(asked) == 0 {
		t.Errorf("an image that the mirror has not: %+v, %v; asked for images of %v", got, err, asked)
	}
	asked, empty = nil, false
	if _, err := mirror.Read(t.Context(), ref, nil); err != nil || len(asked) > 0 {
		t.Errorf("an image of the registry's own: %v; asked for images of %v", err, asked)
	}
	if _, err := mirror.Read(t.Context(), elsewhere, &runtimeapi.AuthConfig{Username: "joe"}); err == nil || len(asked) > 0 {
		t.Errorf("with a credential for the other registry the mirror was asked for images of %v: %v", asked, err)
	}
}

// spy is a transport that looks at what passes.
type spy func(*http.Request) (*http.Response, error)

func (s spy) RoundTrip(req *http.Request) (*http.Response, error) { return s(req) }

func TestRegistryTellsHowToRunAnImage(t *testing.T) {
	ref, reader := server(t, func(string, string) bool { return true })
	got, err := reader.Read(context.Background(), ref, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got.ID, "sha256:") || !strings.HasPrefix(got.Digest, "sha256:") || got.Size <= 0 {
		t.Errorf("ID %q, digest %q, size %d", got.ID, got.Digest, got.Size)
	}
	if want := strings.TrimSuffix(ref, ":v1") + "@" + got.Digest; got.RepoDigest() != want {
		t.Errorf("RepoDigest = %q, want %q", got.RepoDigest(), want)
	}
	got.ID, got.Digest, got.Size = "", "", 0
	want := images.Image{Ref: ref, Entrypoint: []string{"/web"}, Cmd: []string{"serve"}, Env: []string{"PATH=/bin"},
		User: "1000:1000", WorkingDir: "/srv", StopSignal: "SIGQUIT"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the image differs (-want +got):\n%s", diff)
	}
}

func TestTheFilesAreThoseOfTheImageThatWasResolved(t *testing.T) {
	ref, reader := server(t, func(user, password string) bool { return user == "joe" && password == "pw" })
	joe := &images.Account{Username: "joe", Password: "pw"}
	image, err := reader.Read(t.Context(), ref, joe)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := reader.Root(t.Context(), image, joe)
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	files := tar.NewReader(archive)
	header, err := files.Next()
	if err != nil || header.Name != "web" || header.Mode != 0o755 {
		t.Fatalf("the first file is %+v, %v", header, err)
	}
	if data, err := io.ReadAll(files); err != nil || string(data) != "the program" {
		t.Errorf("it has %q, %v", data, err)
	}
	if _, err := reader.Root(t.Context(), image, nil); err == nil {
		t.Error("they could be had without a credential")
	}
	image.ID = "sha256:" + strings.Repeat("0", 64)
	if _, err := reader.Root(t.Context(), image, joe); err == nil || !strings.Contains(err.Error(), "when it was resolved") {
		t.Errorf("another image under its name: %v", err)
	}
}

func TestTheCloudsRegistryIsAskedWithAToken(t *testing.T) {
	const tokenUser = "00000000-0000-0000-0000-000000000000"
	ref, reader := server(t, func(user, password string) bool { return user == tokenUser && password == "the-token" })
	reader.Token = func(context.Context) (string, error) { return "the-token", nil }
	if _, err := reader.Read(context.Background(), ref, nil); err != nil {
		t.Errorf("with the cloud's token: %v", err)
	}
	reader.Host = "elsewhere.example"
	if _, err := reader.Read(context.Background(), ref, nil); err == nil {
		t.Error("another registry was given the cloud's token, or let us in without")
	}
}

func TestTheKubeletsCredentialComesFirst(t *testing.T) {
	ref, reader := server(t, func(user, password string) bool { return user == "joe" && password == "pw" })
	reader.Token = func(context.Context) (string, error) { return "", errors.New("must not be asked") }
	if _, err := reader.Read(context.Background(), ref, &runtimeapi.AuthConfig{Username: "joe", Password: "pw"}); err != nil {
		t.Error(err)
	}
}

// shelf is a reader that has images by name, and says who asked for what.
type shelf struct {
	mu     sync.Mutex
	ids    map[string]string
	reads  atomic.Int32
	during func()
}

func (s *shelf) put(ref, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[ref] = id
}

func (s *shelf) Read(_ context.Context, ref string, auth *runtimeapi.AuthConfig) (images.Image, error) {
	s.reads.Add(1)
	if s.during != nil {
		s.during()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.ids[ref]
	if strings.Contains(ref, "private") && auth == nil {
		return images.Image{}, errors.New("unauthorized")
	}
	if !ok {
		return images.Image{}, errors.New("not found")
	}
	return images.Image{Ref: ref, ID: id, Digest: "sha256:" + id}, nil
}

const web = "docker.io/library/web:latest"

func sandboxOf(uid string) *runtimeapi.PodSandboxConfig {
	return &runtimeapi.PodSandboxConfig{Metadata: &runtimeapi.PodSandboxMetadata{Uid: uid}}
}

func TestThePullReturnsWhatTheGroupRuns(t *testing.T) {
	ctx := context.Background()
	s := &shelf{ids: map[string]string{web: "one"}}
	service := images.NewService(s, nil, "/")
	if _, _, err := service.ForPod(ctx, "pod", "web", corev1.PullAlways); err != nil {
		t.Fatal(err)
	}
	status, err := service.ImageStatus(ctx, &runtimeapi.ImageSpec{Image: "web"}, false)
	if err != nil || status.Image != nil {
		t.Errorf("an image that nobody pulled is present: %v, %v", status.Image, err)
	}
	s.put(web, "two") // the tag moves
	id, err := service.PullImage(ctx, &runtimeapi.ImageSpec{Image: "web"}, nil, sandboxOf("pod"))
	if err != nil || id != "one" {
		t.Errorf("PullImage = %q, %v, want the image that the group was made of", id, err)
	}
	if image, _, _ := service.ForPod(ctx, "later", "web", corev1.PullIfNotPresent); image.ID != "one" {
		t.Errorf("a pod that need not pull got %q, want the present one", image.ID)
	}
	if image, _, _ := service.ForPod(ctx, "always", "web", corev1.PullAlways); image.ID != "two" {
		t.Errorf("a pod that pulls always got %q, want two", image.ID)
	}
	service.Release("pod")
	if image, _, _ := service.ForPod(ctx, "pod", "web", corev1.PullAlways); image.ID != "two" {
		t.Errorf("a released pod still has %q", image.ID)
	}
}

func TestAPrivateImageIsKnownAfterItsPull(t *testing.T) {
	ctx := context.Background()
	const private = "docker.io/library/private:latest"
	service := images.NewService(&shelf{ids: map[string]string{private: "p"}}, nil, "/")
	if _, _, err := service.ForPod(ctx, "pod", "private", corev1.PullAlways); err == nil {
		t.Fatal("the group could be made without a credential")
	}
	auth := &runtimeapi.AuthConfig{Username: "joe"}
	if _, err := service.PullImage(ctx, &runtimeapi.ImageSpec{Image: "private"}, auth, sandboxOf("pod")); err != nil {
		t.Fatal(err)
	}
	image, account, err := service.ForPod(ctx, "pod", "private", corev1.PullAlways)
	if err != nil || image.ID != "p" || account.GetUsername() != "joe" {
		t.Errorf("ForPod = %v, account %v, %v, want the image and how to pull it", image, account, err)
	}
}

func TestOneSecretDoesNotOpenAnImageToAnotherPod(t *testing.T) {
	ctx := context.Background()
	const private = "docker.io/library/private:latest"
	s := &shelf{ids: map[string]string{private: "one"}}
	service := images.NewService(s, nil, "/")
	joe := &runtimeapi.AuthConfig{Username: "joe"}
	pull := func(uid string, auth *runtimeapi.AuthConfig) (string, error) {
		return service.PullImage(ctx, &runtimeapi.ImageSpec{Image: "private"}, auth, sandboxOf(uid))
	}
	if _, err := pull("joes", joe); err != nil {
		t.Fatal(err)
	}
	for _, uid := range []string{"stranger", "friend"} {
		if _, _, err := service.ForPod(ctx, uid, "private", corev1.PullIfNotPresent); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pull("stranger", nil); err == nil {
		t.Error("a pod without a secret got an image that another pod's secret had opened")
	}
	s.put(private, "two")
	if id, err := pull("friend", &runtimeapi.AuthConfig{Username: "ann"}); err != nil || id != "one" {
		t.Errorf("a pod with a secret of its own got %q, %v, want the image that its group was made of", id, err)
	}
	reads := s.reads.Load()
	if _, err := pull("joes", &runtimeapi.AuthConfig{Username: "joe"}); err != nil || s.reads.Load() != reads {
		t.Errorf("the registry was asked again for what the same secret has opened: %v", err)
	}
}

func TestAnImageThatMayNotBePulledMustBePresent(t *testing.T) {
	ctx := context.Background()
	service := images.NewService(&shelf{ids: map[string]string{web: "one"}}, nil, "/")
	if _, _, err := service.ForPod(ctx, "pod", "web", corev1.PullNever); err == nil {
		t.Error("policy Never resolved an image that is not present")
	}
	if _, err := service.PullImage(ctx, &runtimeapi.ImageSpec{Image: "web"}, nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := service.ForPod(ctx, "pod", "web", corev1.PullNever); err != nil {
		t.Errorf("policy Never refused a present image: %v", err)
	}
}

// store are images that are where groups run, by name and by ID.
type store map[string]images.Image

func (s store) Find(_ context.Context, ref string) (images.Image, bool, error) {
	image, ok := s[ref]
	return image, ok, nil
}

func TestALocalImageNeedsNoRegistry(t *testing.T) {
	const own, id = "docker.io/library/own:1", "sha256:" + "0123456789012345678901234567890123456789012345678901234567890123"
	image := images.Image{Ref: own, ID: id, Entrypoint: []string{"/own"}}
	s := &shelf{ids: map[string]string{}}
	service := images.NewService(s, store{own: image, id: image}, "/")
	for _, policy := range []corev1.PullPolicy{corev1.PullIfNotPresent, corev1.PullNever} {
		got, account, err := service.ForPod(t.Context(), string(policy), "own:1", policy)
		if diff := cmp.Diff(image, got); err != nil || account != nil || diff != "" {
			t.Errorf("policy %s: account %v, %v (-want +got):\n%s", policy, account, err, diff)
		}
	}
	for _, ref := range []string{"own:1", id} {
		status, err := service.ImageStatus(t.Context(), &runtimeapi.ImageSpec{Image: ref}, false)
		if err != nil || status.GetImage().GetId() != id || len(status.GetImage().GetRepoDigests()) != 0 {
			t.Errorf("%s is %v, %v", ref, status.GetImage(), err)
		}
	}
	if image.RepoDigest() != id {
		t.Errorf("it is run as %q, want its ID", image.RepoDigest())
	}
	if n := s.reads.Load(); n != 0 {
		t.Errorf("a registry was asked %d times", n)
	}
	if _, _, err := service.ForPod(t.Context(), "always", "own:1", corev1.PullAlways); err == nil {
		t.Error("a pod that pulls always got an image that no registry has")
	}
	if list, err := service.ListImages(t.Context(), nil); err != nil || len(list) != 0 {
		t.Errorf("the kubelet may clean up %v, %v", list, err)
	}
}

// TestAPullOfALocalImageAsksTheRegistry: the kubelet pulls what is present only
// when a credential had brought it, and this pod has shown none of its own.
func TestAPullOfALocalImageAsksTheRegistry(t *testing.T) {
	const private = "docker.io/library/private:latest"
	s := &shelf{ids: map[string]string{private: "p"}}
	service := images.NewService(s, store{private: {Ref: private, ID: "p", Digest: "sha256:p"}}, "/")
	for _, uid := range []string{"stranger", "friend"} {
		if _, _, err := service.ForPod(t.Context(), uid, "private", corev1.PullIfNotPresent); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := service.PullImage(t.Context(), &runtimeapi.ImageSpec{Image: "private"}, nil, sandboxOf("stranger")); err == nil {
		t.Error("a pod without a secret got an image that another pod's secret had brought")
	}
	joe := &runtimeapi.AuthConfig{Username: "joe"}
	if id, err := service.PullImage(t.Context(), &runtimeapi.ImageSpec{Image: "private"}, joe, sandboxOf("friend")); err != nil || id != "p" {
		t.Errorf("a pod with a secret got %q, %v", id, err)
	}
}

func TestPresentImagesAreListedAndRemoved(t *testing.T) {
	ctx := context.Background()
	service := images.NewService(&shelf{ids: map[string]string{web: "one", "docker.io/library/db:1": "id-of-db"}}, nil, "/")
	for _, ref := range []string{"web", "db:1"} {
		if _, err := service.PullImage(ctx, &runtimeapi.ImageSpec{Image: ref}, nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	list, err := service.ListImages(ctx, nil)
	if err != nil || len(list) != 2 || list[0].Id != "id-of-db" || list[1].RepoTags[0] != web {
		t.Errorf("ListImages = %v, %v", list, err)
	}
	if status, _ := service.ImageStatus(ctx, &runtimeapi.ImageSpec{Image: "db"}, false); status.Image != nil {
		t.Errorf("db:latest is present as %v", status.Image)
	}
	if status, _ := service.ImageStatus(ctx, &runtimeapi.ImageSpec{Image: "one"}, false); status.Image == nil {
		t.Error("an image is not found by its ID")
	}
	if err := service.RemoveImage(ctx, &runtimeapi.ImageSpec{Image: "one"}); err != nil {
		t.Fatal(err)
	}
	if list, _ := service.ListImages(ctx, nil); len(list) != 1 {
		t.Errorf("%d images after one of two was removed", len(list))
	}
}

func TestManyWhoAskAtOnceAskTheRegistryOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		s := &shelf{ids: map[string]string{web: "one"}, during: func() { <-answer }}
		service := images.NewService(s, nil, "/")
		impatient, leave := context.WithCancel(t.Context())
		for i := range 10 {
			ctx, left := t.Context(), i == 0
			if left {
				ctx = impatient
			}
			go func() {
				if _, err := service.Resolve(ctx, "web"); (err != nil) != left {
					t.Errorf("asker %d: %v", i, err)
				}
			}()
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		if n := s.reads.Load(); n != 1 {
			t.Errorf("the registry was asked %d times by ten who asked together", n)
		}
		close(answer)
		synctest.Wait()
	})
}
