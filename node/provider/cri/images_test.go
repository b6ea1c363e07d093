package cri_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/node/images"
	"frankenetes.dev/node/provider"
)

func TestImagesArePulledOnceWithTheAccountOfTheirRegistry(t *testing.T) {
	f, p := serve(t, "", t.TempDir())
	f.has(agent)
	f.ends["install"] = 0
	g := group()
	g.Containers[1].Image = "closed.example/web:1"
	g.Containers = append(g.Containers, g.Containers[1])
	g.Containers[2].Name, g.Containers[2].Image = "open", "library/web"
	g.Containers = append(g.Containers, g.Containers[1])
	g.Containers[3].Name = "twin"
	g.Registries = []provider.Registry{{Server: "closed.example", Username: "joe", Password: "secret"}}
	if err := p.Create(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	slices.Sort(f.pulls)
	if want := []string{`closed.example/web:1 as "joe"`, `library/web as ""`}; !slices.Equal(f.pulls, want) {
		t.Errorf("pulled %q, want %q", f.pulls, want)
	}
}

func TestAnImageThatCannotBePulledIsNamed(t *testing.T) {
	f, p := serve(t, "", t.TempDir())
	f.has(agent)
	for image, why := range map[string]string{
		"closed.example/web:1":               "the registry says no",
		"sha256:" + strings.Repeat("0a", 32): "not there any more",
	} {
		g := group()
		g.Containers[1].Image = image
		err := p.Create(t.Context(), g)
		if err == nil || !strings.Contains(err.Error(), "pull image "+image+": ") || !strings.Contains(err.Error(), why) {
			t.Errorf("Create = %v, want %q and why", err, image)
		}
		if f.left() != 0 {
			t.Errorf("a sandbox was made without the image")
		}
	}
}

func TestAnImageOfTheRuntimeTellsHowToRunIt(t *testing.T) {
	f, p := serve(t, "", t.TempDir())
	if _, found, err := p.Find(t.Context(), "docker.io/library/web:1"); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	const name = "docker.io/library/web:1"
	f.images[name] = &runtimeapi.Image{Id: strings.Repeat("0a", 32), Size: 7, RepoDigests: []string{
		"docker.io/library/import-2026@sha256:other", "docker.io/library/web@sha256:own"}}
	f.infos[name] = `{"chainID":"c","imageSpec":{"architecture":"amd64","os":"linux","config":{
		"User":"1000","Env":["A=b"],"Entrypoint":["/web"],"Cmd":["serve"],"WorkingDir":"/srv","StopSignal":"SIGQUIT"}}}`
	got, found, err := p.Find(t.Context(), name)
	want := images.Image{Ref: name, ID: "sha256:" + strings.Repeat("0a", 32), Digest: "sha256:own", Size: 7, User: "1000",
		Env: []string{"A=b"}, Entrypoint: []string{"/web"}, Cmd: []string{"serve"}, WorkingDir: "/srv", StopSignal: "SIGQUIT"}
	if diff := cmp.Diff(want, got); !found || err != nil || diff != "" {
		t.Errorf("found %v, %v (-want +got):\n%s", found, err, diff)
	}
	f.images[name].RepoDigests = nil
	if got, _, err := p.Find(t.Context(), name); err != nil || got.RepoDigest() != got.ID {
		t.Errorf("one that is of no registry is run as %q, %v, want its ID", got.RepoDigest(), err)
	}
	f.infos[name] = "{}"
	if _, _, err := p.Find(t.Context(), name); err == nil {
		t.Error("an image without a configuration was found")
	}
}
