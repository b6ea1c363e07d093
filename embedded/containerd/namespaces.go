package containerd

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// namespaces is where the CRI plugin keeps the network namespaces of sandboxes.
func (o Options) namespaces() string {
	return filepath.Join(o.State, "io.containerd.grpc.v1.cri", "netns")
}

// strayNamespaces returns the files of network namespaces that no sandbox has:
// those that a containerd was making when it was killed.
func (r *Runtime) strayNamespaces(ctx context.Context) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(r.options.namespaces(), "*"))
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	sandboxes, err := r.CRI().ListPodSandbox(ctx, &runtimeapi.ListPodSandboxRequest{})
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	if len(files) <= len(sandboxes.Items) {
		return nil, nil // each has one, and to ask for which takes a while
	}
	used := map[string]bool{}
	for _, s := range sandboxes.Items {
		path, err := r.namespaceOf(ctx, s.Id)
		if err != nil && grpcstatus.Code(err) != codes.NotFound {
			return nil, err
		}
		used[path] = true
	}
	return slices.DeleteFunc(files, func(file string) bool { return used[file] }), nil
}

// namespaceOf returns the file of the network namespace of a sandbox, or
// nothing if it has none.
func (r *Runtime) namespaceOf(ctx context.Context, sandbox string) (string, error) {
	answer, err := r.CRI().PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: sandbox, Verbose: true})
	if err != nil {
		return "", fmt.Errorf("ask for sandbox: %w", err)
	}
	// What is said beyond the CRI, as containerd has it.
	var info struct {
		SandboxMetadata struct{ Metadata struct{ NetNSPath string } }
	}
	if err := json.Unmarshal([]byte(answer.Info["info"]), &info); err != nil {
		return "", fmt.Errorf("read status of sandbox: %w", err)
	}
	return info.SandboxMetadata.Metadata.NetNSPath, nil
}
