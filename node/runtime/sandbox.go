package runtime

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/node/images"
)

// sandbox is one pod sandbox: a container group, or the wish for one that
// waits until its images can be resolved.
type sandbox struct {
	id string
	// namespace, name and uid are the pod's.
	namespace, name, uid string
	created              time.Time
	// group is the group's name, empty without one.
	group string
	// images are what the group's containers run, by container.
	images map[string]images.Image
	// shared says that the pod's volumes are directories of one of the group's.
	shared bool
	// sizes are what the pod asked for when its group was made.
	sizes Sizes
	// life ends when the group is gone or given up, with done.
	life context.Context
	done context.CancelFunc
	// writing is held while the sandbox's record is written.
	writing sync.Mutex

	mu       sync.Mutex
	progress progress
	config   *runtimeapi.PodSandboxConfig
	ready    bool
	ip       string
	// exact and ports are what the pod agent has said of itself.
	exact, ports bool
	// clean says that each run of a container has the image's root file system.
	clean bool
	// memory are the volumes that are in memory, and their sizes in bytes.
	memory map[string]int64
	// containers by ID, volumes by the pod's names for them.
	containers map[string]*container
	volumes    map[string]*volume
	// absent are the agents that were needed and are not connected, since when.
	absent map[string]time.Time
	// unshared is a record that the pod agent has not got yet; sharing says
	// that somebody sees to it.
	unshared []byte
	sharing  bool
}

func (r *Runtime) newSandbox(namespace, name, uid string) *sandbox {
	sb := &sandbox{
		id: newID(), namespace: namespace, name: name, uid: uid, created: time.Now(), ready: true,
		images: map[string]images.Image{}, containers: map[string]*container{},
		volumes: map[string]*volume{}, absent: map[string]time.Time{},
	}
	sb.life, sb.done = context.WithCancel(r.life)
	return sb
}

// newID returns a CRI ID: 256 random bits, as other runtimes have them.
func newID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	return hex.EncodeToString(b[:])
}

func (sb *sandbox) state() runtimeapi.PodSandboxState {
	if sb.ready {
		return runtimeapi.PodSandboxState_SANDBOX_READY
	}
	return runtimeapi.PodSandboxState_SANDBOX_NOTREADY
}

// status returns the sandbox as PodSandboxStatus reports it.
func (sb *sandbox) status() *runtimeapi.PodSandboxStatus {
	sb.mu.Lock()
	defer sb.mu.Unlock()
	// The kubelet replaces a sandbox with a network and no address; one without
	// a group has no network, and waits.
	var network *runtimeapi.PodSandboxNetworkStatus
	if sb.ip != "" {
		network = &runtimeapi.PodSandboxNetworkStatus{Ip: sb.ip}
	}
	return &runtimeapi.PodSandboxStatus{
		Id: sb.id, Metadata: sb.config.GetMetadata(), State: sb.state(), CreatedAt: sb.created.UnixNano(),
		Network: network,
		Linux: &runtimeapi.LinuxPodSandboxStatus{Namespaces: &runtimeapi.Namespace{
			Options: sb.config.GetLinux().GetSecurityContext().GetNamespaceOptions()}},
		Labels: sb.config.GetLabels(), Annotations: sb.config.GetAnnotations(),
	}
}

// item returns the sandbox as ListPodSandbox reports it.
func (sb *sandbox) item() *runtimeapi.PodSandbox {
	sb.mu.Lock()
	defer sb.mu.Unlock()
	return &runtimeapi.PodSandbox{
		Id: sb.id, Metadata: sb.config.GetMetadata(), State: sb.state(), CreatedAt: sb.created.UnixNano(),
		Labels: sb.config.GetLabels(), Annotations: sb.config.GetAnnotations(),
	}
}

// setReady changes the sandbox's state and reports whether that is news.
func (sb *sandbox) setReady(ready bool) bool {
	sb.mu.Lock()
	defer sb.mu.Unlock()
	changed := sb.ready != ready
	sb.ready = ready
	return changed
}

// all returns the sandbox's containers, oldest first.
func (sb *sandbox) all() []*container {
	sb.mu.Lock()
	defer sb.mu.Unlock()
	return slices.SortedFunc(maps.Values(sb.containers), func(a, b *container) int {
		if c := a.created.Compare(b.created); c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id)
	})
}

// find returns a container of the sandbox by ID.
func (sb *sandbox) find(id string) *container {
	sb.mu.Lock()
	defer sb.mu.Unlock()
	return sb.containers[id]
}
