package cri_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/node/provider"
	"frankenetes.dev/node/provider/providertest"
)

const agent, web = "r.example/agent:1", "r.example/web@sha256:0123456789012345678901234567890123456789012345678901234567890123"

// group is one as the node makes them.
func group() provider.Group {
	root := int32(0)
	return provider.Group{
		Name: "default-web-1", Tags: map[string]string{provider.TagNode: "n", provider.TagPod: "web"}, Volumes: []string{"agent", "volume-0"},
		Init: []provider.Container{{Name: "install", Image: agent, Command: []string{"/agent", "install"},
			Mounts: []provider.Mount{{Volume: "agent", Path: "/.agent"}}}},
		Containers: []provider.Container{
			{Name: "pod-agent", Image: agent, Request: provider.Resources{CPU: 0.75, MemoryGB: 0.5}},
			{Name: "web", Image: web, Command: []string{"/.agent/agent", "run"}, User: &root,
				Env:     []provider.EnvVar{{Name: "NODE", Value: "10.0.0.1:1"}, {Name: "TOKEN", Value: "once", Secret: true}},
				Mounts:  []provider.Mount{{Volume: "agent", Path: "/.agent"}, {Volume: "volume-0", Path: "/data", ReadOnly: true}},
				Request: provider.Resources{CPU: 0.25, MemoryGB: 0.5}, Limit: provider.Resources{CPU: 0.5, MemoryGB: 1}}},
	}
}

func TestItKeepsTheContract(t *testing.T) {
	dir := t.TempDir()
	f, p := serve(t, "", dir)
	f.has(agent)
	f.ends["install"] = 0
	providertest.Contract(t, p, func(string) provider.Group {
		g := group()
		g.Containers = g.Containers[:1]
		return g
	})
	if f.left() != 0 {
		t.Errorf("%d sandboxes and containers are left", f.left())
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("the directories %v are left", left)
	}
}

func TestAGroupIsASandbox(t *testing.T) {
	dir := t.TempDir()
	f, p := serve(t, "kata", dir)
	f.has(agent, web)
	f.ends["install"] = 0
	if err := p.Create(t.Context(), group()); err != nil {
		t.Fatal(err)
	}
	for _, s := range f.sandboxes {
		c := s.config
		if s.handler != "kata" || c.Hostname != "default-web-1" || c.Labels[provider.TagPod] != "web" || len(c.PortMappings) != 0 {
			t.Errorf("the sandbox has handler %q and is %v", s.handler, c)
		}
		if size := c.Linux.Resources; size.CpuQuota != 100_000 || size.MemoryLimitInBytes != 1e9 {
			t.Errorf("its size is %v, want one CPU and one GB", size)
		}
		if n := c.Linux.SecurityContext.NamespaceOptions; n.Network != runtimeapi.NamespaceMode_POD {
			t.Errorf("its namespaces are %v", n)
		}
	}
	if c := f.named(t, "install"); c.code != 0 || c.state != runtimeapi.ContainerState_CONTAINER_EXITED || c.config.Linux.Resources.MemoryLimitInBytes != 0 {
		t.Errorf("the init container is %+v", c)
	}
	got := f.named(t, "web").config
	volumes := filepath.Join(dir, "default-web-1", "volumes")
	if diff := cmp.Diff([]*runtimeapi.Mount{
		{HostPath: filepath.Join(volumes, "agent"), ContainerPath: "/.agent", SelinuxRelabel: true},
		{HostPath: filepath.Join(volumes, "volume-0"), ContainerPath: "/data", Readonly: true, SelinuxRelabel: true},
	}, got.Mounts, protocmp.Transform()); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]*runtimeapi.KeyValue{
		{Key: "NODE", Value: []byte("10.0.0.1:1")}, {Key: "TOKEN", Value: []byte("once")}}, got.Envs, protocmp.Transform()); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if r := got.Linux.Resources; r.CpuQuota != 50_000 || r.CpuPeriod != 100_000 || r.CpuShares != 256 || r.MemoryLimitInBytes != 1e9 {
		t.Errorf("limits: %v", r)
	}
	if got.Linux.SecurityContext.RunAsUser.GetValue() != 0 || got.Linux.SecurityContext.RunAsUser == nil || got.Args != nil ||
		!slices.Equal(got.Command, []string{"/.agent/agent", "run"}) {
		t.Errorf("it runs as %v: %v %v", got.Linux.SecurityContext.RunAsUser, got.Command, got.Args)
	}
}

func TestContainersHaveNothingMoreThanOffered(t *testing.T) {
	f, p := serve(t, "", t.TempDir())
	f.has(agent, web)
	f.ends["install"] = 0
	if err := p.Create(t.Context(), group()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"install", "pod-agent", "web"} {
		s := f.named(t, name).config.Linux.SecurityContext
		if s.Privileged || !slices.Equal(s.Capabilities.DropCapabilities, []string{"ALL"}) ||
			!slices.Equal(s.Capabilities.AddCapabilities, provider.Capabilities()) || len(s.Capabilities.AddAmbientCapabilities) != 0 {
			t.Errorf("%s: privileged %v, capabilities %v", name, s.Privileged, s.Capabilities)
		}
		if s.Seccomp.GetProfileType() != runtimeapi.SecurityProfile_RuntimeDefault || !slices.Contains(s.MaskedPaths, "/proc/kcore") ||
			!slices.Contains(s.ReadonlyPaths, "/proc/sys") {
			t.Errorf("%s: seccomp %v, masked %v, read only %v", name, s.Seccomp, s.MaskedPaths, s.ReadonlyPaths)
		}
		if n := s.NamespaceOptions; n.Network != runtimeapi.NamespaceMode_POD || n.Pid != runtimeapi.NamespaceMode_CONTAINER || n.Ipc != runtimeapi.NamespaceMode_POD {
			t.Errorf("%s: namespaces %v", name, n)
		}
	}
}

func TestVolumesAreTheGroupsAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "groups")
	f, p := serve(t, "", dir)
	f.has(agent, web)
	f.ends["install"] = 0
	if err := p.Create(t.Context(), group()); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{
		dir: 0o700, filepath.Join(dir, "default-web-1"): 0o700,
		filepath.Join(dir, "default-web-1/volumes/volume-0"): 0o777,
	} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %o", path, info, err, want)
		}
	}
}

func TestWhatFailsIsToldAndCanBeDeleted(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(*fake)
		told  string
	}{
		"the sandbox":        {func(f *fake) { f.refuse["RunPodSandbox"] = status.Error(codes.Unknown, "no network") }, "run sandbox"},
		"a container":        {func(f *fake) { f.refuse["CreateContainer"] = status.Error(codes.Unknown, "no room") }, "no room"},
		"a start":            {func(f *fake) { f.refuse["StartContainer"] = status.Error(codes.Unknown, "no such program") }, "no such program"},
		"the init container": {func(f *fake) { f.ends["install"] = 3 }, "init container install: it has ended with exit code 3"},
		"an image":           {func(f *fake) { delete(f.images, web); f.refuse["ImageStatus"] = errors.New("disk") }, "pull image"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			f, p := serve(t, "", dir)
			f.has(agent, web)
			f.ends["install"] = 0
			c.spoil(f)
			err := p.Create(t.Context(), group())
			if err == nil || !strings.Contains(err.Error(), c.told) || !strings.HasPrefix(err.Error(), "create group default-web-1: ") {
				t.Errorf("Create = %v, want %q in it", err, c.told)
			}
			if err := p.Delete(t.Context(), "default-web-1"); err != nil {
				t.Fatal(err)
			}
			if left, _ := os.ReadDir(dir); f.left() != 0 || len(left) != 0 {
				t.Errorf("%d sandboxes and containers and the directories %v are left", f.left(), left)
			}
		})
	}
}

// TestASandboxThatIsBeingMadeIsMade: were the call cut short, the sandbox could
// be there a moment after Delete had looked for it.
func TestASandboxThatIsBeingMadeIsMade(t *testing.T) {
	f, p := serve(t, "", t.TempDir())
	f.has(agent, web)
	ctx, cancel := context.WithCancel(t.Context())
	f.running = cancel
	if err := p.Create(ctx, group()); !errors.Is(err, context.Canceled) {
		t.Errorf("Create = %v, want that it was given up", err)
	}
	if f.left() != 1 {
		t.Errorf("%d sandboxes and containers, want the sandbox and no container", f.left())
	}
}

func TestAnInitContainerIsNotAwaitedForEver(t *testing.T) {
	f, p := serve(t, "", t.TempDir())
	f.has(agent, web)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := p.Create(ctx, group()); err == nil || !strings.Contains(err.Error(), "init container install: ") {
		t.Errorf("Create = %v, want that the init container has not ended", err)
	}
}

// TestADeletionThatFailsCanBeRepeated: the group must be listed until all of it
// is gone, or nobody would ever delete the rest.
func TestADeletionThatFailsCanBeRepeated(t *testing.T) {
	for _, call := range []string{"StopPodSandbox", "RemovePodSandbox"} {
		f, p := serve(t, "", t.TempDir())
		f.has(agent, web)
		f.ends["install"] = 0
		if err := p.Create(t.Context(), group()); err != nil {
			t.Fatal(err)
		}
		f.refuse[call] = status.Error(codes.Unavailable, "busy")
		if err := p.Delete(t.Context(), "default-web-1"); err == nil {
			t.Errorf("%s failed, and Delete did not", call)
		}
		if list, err := p.List(t.Context(), nil); err != nil || len(list) != 1 {
			t.Errorf("after %s has failed, listed: %v, %v", call, list, err)
		}
		delete(f.refuse, call)
		if err := p.Delete(t.Context(), "default-web-1"); err != nil || f.left() != 0 {
			t.Errorf("the second Delete = %v, %d left", err, f.left())
		}
	}
}

func TestAGroupWhoseSandboxDoesNotRunHasEnded(t *testing.T) {
	f, p := serve(t, "", t.TempDir())
	f.has(agent, web)
	f.ends["install"] = 0
	if err := p.Create(t.Context(), group()); err != nil {
		t.Fatal(err)
	}
	for _, s := range f.sandboxes {
		s.state = runtimeapi.PodSandboxState_SANDBOX_NOTREADY // as after a reboot
	}
	list, err := p.List(t.Context(), map[string]string{provider.TagNode: "n"})
	if err != nil || len(list) != 1 || !list[0].Ended {
		t.Errorf("listed: %v, %v", list, err)
	}
}

func TestWhatIsNoGroupIsNotListed(t *testing.T) {
	f, p := serve(t, "", t.TempDir())
	f.sandboxes["other"] = &sandbox{config: &runtimeapi.PodSandboxConfig{Labels: map[string]string{provider.TagNode: "n"}}}
	if list, err := p.List(t.Context(), map[string]string{provider.TagNode: "n"}); err != nil || len(list) != 0 {
		t.Errorf("listed: %v, %v", list, err)
	}
}
