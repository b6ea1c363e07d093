package baremetal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/vishvananda/netlink"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/embedded/containerd"
	"frankenetes.dev/embedded/images"
)

const (
	// patience is how long anything may take on a slow and busy machine.
	patience = 3 * time.Minute
	// image has a shell and a server; it is of no registry.
	image = "frankenetes.internal/test:latest"
	// agentImage has the agent.
	agentImage = "frankenetes.internal/agent:latest"
	pauseImage = "frankenetes.internal/pause:1"
)

// bed is what a node is tried on: a containerd that is not our cloud's, with
// some images and a bridge.
type bed struct {
	// story is the test, t the part of it that is being told.
	story, t *testing.T
	// bin has the programs; dir and state are the test's own directories.
	bin, dir, state string
	runtime         *containerd.Runtime
	socket          string
	// bridge is the interface by which this machine has the address gateway.
	bridge  string
	gateway net.IP
	// cgroups are the runtime's that were there before.
	cgroups map[string]bool
}

// newBed makes a bed, of which nothing is left when the test ends, however it
// ends.
func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{story: t, t: t, bin: os.Getenv("FRANKENETES_BIN"), dir: t.TempDir(), cgroups: map[string]bool{}}
	if b.bin == "" || os.Geteuid() != 0 {
		t.Fatal("end-to-end tests need root and the binaries: call them by `make e2e`")
	}
	for _, dir := range runtimeCgroups() {
		b.cgroups[dir] = true
	}
	var err error
	if b.state, err = os.MkdirTemp("/run", "fkp"); err != nil { // short, for the sockets in it
		t.Fatal(err)
	}
	t.Cleanup(b.end)
	b.makeBridge()
	b.startRuntime()
	b.loadImages()
	return b
}

// makeBridge gives this machine an address in a network that nobody else has.
// The plugins could make the bridge too, but would switch on forwarding for all.
func (b *bed) makeBridge() {
	b.t.Helper()
	n := os.Getpid() % 250
	b.bridge, b.gateway = fmt.Sprintf("fkp%d", os.Getpid()), net.IPv4(10, 213, byte(n), 1)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = b.bridge
	attrs.HardwareAddr = net.HardwareAddr{2, 'f', 'k', 'p', 0, byte(n)} // or it would be that of the first pod
	link := &netlink.Bridge{LinkAttrs: attrs}
	mask := net.CIDRMask(24, 32)
	if err := errors.Join(netlink.LinkAdd(link),
		netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: b.gateway, Mask: mask}}), netlink.LinkSetUp(link)); err != nil {
		b.t.Fatalf("make bridge %s: %v", b.bridge, err)
	}
	config := map[string]any{"cniVersion": "1.0.0", "name": "baremetal", "plugins": []any{map[string]any{
		"type": "bridge", "bridge": b.bridge,
		"ipam": map[string]any{"type": "host-local", "dataDir": b.addresses(),
			"ranges": []any{[]any{map[string]any{"subnet": fmt.Sprintf("10.213.%d.0/24", n)}}},
			"routes": []any{map[string]any{"dst": "0.0.0.0/0"}}}}}}
	b.write("cni/test.conflist", config)
}

// addresses is the directory in which host-local has a file for each address.
func (b *bed) addresses() string { return filepath.Join(b.dir, "addresses") }

// write writes a file of JSON below the test's directory.
func (b *bed) write(name string, v any) {
	b.t.Helper()
	data, err := json.Marshal(v)
	path := filepath.Join(b.dir, name)
	if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) startRuntime() {
	b.t.Helper()
	tools := filepath.Join(b.dir, "tools")
	err := os.Mkdir(tools, 0o700)
	for name, to := range map[string]string{"containerd": "containerd", "containerd-shim-runc-v2": "containerd-shim-runc-v2", "runc": "runc", "cni": "test/cni"} {
		err = errors.Join(err, os.Symlink(filepath.Join(b.bin, to), filepath.Join(tools, name)))
	}
	if _, missing := os.Stat(filepath.Join(tools, "cni", "bridge")); err != nil || missing != nil {
		b.t.Fatal(err, missing)
	}
	options := containerd.Options{
		Tools: tools, Root: filepath.Join(b.dir, "containerd"), State: b.state, CNI: filepath.Join(b.dir, "cni"),
		SandboxImage: pauseImage, Log: slog.New(slog.NewTextHandler(b.t.Output(), nil)),
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if b.runtime, err = containerd.Start(ctx, options); err != nil {
		b.t.Fatal(err)
	}
	b.socket = "unix://" + options.Socket()
}

// loadImages gives the runtime images as `ctr images import` does: by name, and
// without a registry that has them.
func (b *bed) loadImages() {
	b.t.Helper()
	data, err := os.ReadFile(filepath.Join(b.bin, "images", ocispec.ImageIndexFile))
	if err != nil {
		b.t.Fatal(err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(data, &index); err != nil {
		b.t.Fatal(err)
	}
	var some []ocispec.Descriptor
	for _, m := range index.Manifests {
		switch m.Annotations[ocispec.AnnotationRefName] {
		case image, agentImage, pauseImage:
			some = append(some, m)
		}
	}
	if index.Manifests = some; len(some) != 3 {
		b.t.Fatalf("%d of three images are there", len(some))
	}
	b.write("images/index.json", index)
	layout := filepath.Join(b.dir, "images")
	if err := os.Symlink(filepath.Join(b.bin, "images", "blobs"), filepath.Join(layout, "blobs")); err != nil {
		b.t.Fatal(err)
	}
	store := images.Store{Client: b.runtime.Client(), CRI: b.runtime.Images(), Log: slog.New(slog.NewTextHandler(b.t.Output(), nil))}
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	if err := store.Import(namespaces.WithNamespace(ctx, containerd.Namespace), layout); err != nil {
		b.t.Fatal(err)
	}
}

// sandboxes returns what the runtime has.
func (b *bed) sandboxes(ctx context.Context) []*runtimeapi.PodSandbox {
	b.t.Helper()
	list, err := b.runtime.CRI().ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		b.t.Errorf("list sandboxes: %v", err)
	}
	return list.GetItems()
}

// left lists what groups have that should all be deleted.
func (b *bed) left(ctx context.Context) []string {
	b.t.Helper()
	var left []string
	for _, s := range b.sandboxes(ctx) {
		left = append(left, fmt.Sprintf("sandbox %s (%s)", s.Metadata.Name, s.State))
	}
	containers, err := b.runtime.CRI().ListContainers(ctx, &runtimeapi.ListContainersRequest{})
	if err != nil {
		b.t.Errorf("list containers: %v", err)
	}
	for _, c := range containers.GetContainers() {
		left = append(left, fmt.Sprintf("container %s (%s)", c.Metadata.Name, c.State))
	}
	addresses, _ := filepath.Glob(filepath.Join(b.addresses(), "baremetal", "10.*"))
	left = append(left, addresses...)
	return append(left, mountsBelow(b.t, filepath.Join(b.state, "io.containerd"))...)
}
