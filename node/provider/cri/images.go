package cri

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/node/images"
	"frankenetes.dev/node/provider"
)

var (
	_ provider.Provider = (*Provider)(nil)
	_ images.Local      = (*Provider)(nil)
)

// pull fetches the images of a group that the runtime does not have, side by
// side.
func (p *Provider) pull(ctx context.Context, g provider.Group) error {
	pulling, ctx := errgroup.WithContext(ctx)
	seen := map[string]bool{}
	for _, list := range [][]provider.Container{g.Init, g.Containers} {
		for _, c := range list {
			if !seen[c.Image] {
				seen[c.Image] = true
				pulling.Go(func() error { return p.obtain(ctx, c.Image, g.Registries) })
			}
		}
	}
	return pulling.Wait()
}

func (p *Provider) obtain(ctx context.Context, image string, accounts []provider.Registry) error {
	spec := &runtimeapi.ImageSpec{Image: image, RuntimeHandler: p.handler}
	r, err := p.images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: spec})
	switch {
	case err != nil, r.GetImage() != nil:
	case images.IsID(image):
		err = errors.New("it is of no registry, and not there any more")
	default:
		_, err = p.images.PullImage(ctx, &runtimeapi.PullImageRequest{Image: spec, Auth: account(image, accounts)})
	}
	if err != nil {
		return fmt.Errorf("pull image %s: %w", image, err)
	}
	return nil
}

// account is the one for an image's registry, or nil.
func account(image string, accounts []provider.Registry) *runtimeapi.AuthConfig {
	named, err := reference.ParseDockerRef(image)
	for _, a := range accounts {
		if err == nil && a.Server == reference.Domain(named) {
			return &runtimeapi.AuthConfig{Username: a.Username, Password: a.Password}
		}
	}
	return nil
}

// Find tells how to run an image that the runtime has, so that one which is of
// no registry can be run too.
func (p *Provider) Find(ctx context.Context, ref string) (images.Image, bool, error) {
	r, err := p.images.ImageStatus(ctx, &runtimeapi.ImageStatusRequest{Image: &runtimeapi.ImageSpec{Image: ref}, Verbose: true})
	if err != nil {
		return images.Image{}, false, fmt.Errorf("look for image %s: %w", ref, err)
	}
	if r.GetImage() == nil {
		return images.Image{}, false, nil
	}
	// What is said beyond the CRI, as containerd and CRI-O have it.
	var info struct {
		Spec *ocispec.Image `json:"imageSpec"`
	}
	if err := json.Unmarshal([]byte(r.Info["info"]), &info); err != nil || info.Spec == nil {
		return images.Image{}, false, fmt.Errorf("look for image %s: the runtime does not tell its configuration", ref)
	}
	c := info.Spec.Config
	return images.Image{
		Ref: ref, ID: id(r.Image.Id), Digest: digest(ref, r.Image.RepoDigests), Size: int64(r.Image.Size),
		Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env, User: strings.TrimSpace(c.User), WorkingDir: c.WorkingDir, StopSignal: c.StopSignal,
	}, true, nil
}

// id writes an image's ID as a digest: CRI-O leaves the algorithm out.
func id(s string) string {
	if strings.Contains(s, ":") {
		return s
	}
	return "sha256:" + s
}

// digest is that of the image in the repository of its name, if it is of one.
func digest(ref string, known []string) string {
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return ""
	}
	for _, k := range known {
		if digest, ok := strings.CutPrefix(k, reference.TrimNamed(named).String()+"@"); ok {
			return digest
		}
	}
	return ""
}
