package runtime

import (
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
)

// maxMessage is the most of a termination message that Kubernetes keeps.
const maxMessage = 4096

// container is one run of one of a pod's containers. The group's container
// lives on; a restart is another run in it.
type container struct {
	id      string
	sandbox *sandbox
	config  *runtimeapi.ContainerConfig
	// host is the group's container in which an ephemeral one runs, which is
	// none of the group's; empty for others.
	host    string
	image   images.Image
	created time.Time
	// hosts is the kubelet's hosts file, message where it looks for the
	// termination message; both on the node, either may be empty.
	hosts, message string
	// messagePath is where the program leaves that message, in the container.
	messagePath string
	volumes     []*volume
	// mounts are those that the group has not: of parts of volumes, and of
	// volumes in memory.
	mounts []protocol.Mount
	log    *logCopy
	// ended is closed when the container has exited and all is known of it.
	ended chan struct{}
	// reading is what is remembered of its usage; it belongs to the meter.
	reading reading

	mu       sync.Mutex
	state    runtimeapi.ContainerState
	started  time.Time
	finished time.Time
	exitCode int32
	// reason and text say why it exited.
	reason, text string
	// finishing is set when the agent has said how it ended.
	finishing *protocol.State
	// copying is set when its log is being copied.
	copying bool
	// logLost says that the copy of its log was lost with the node's files.
	logLost bool
	// lastWords is its termination message, once it has exited.
	lastWords string
}

// name is the container's name in the pod.
func (c *container) name() string { return c.config.GetMetadata().GetName() }

// place is the group's container in which it runs, and whose agent knows it.
func (c *container) place() string { return firstOf(c.host, c.name()) }

// ephemeral reports whether it was added to a pod that runs.
func (c *container) ephemeral() bool { return c.host != "" }

func (c *container) current() runtimeapi.ContainerState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// startedAt is when its program was started.
func (c *container) startedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started
}

// run marks the container as started, and reports whether that is news.
func (c *container) run(at time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != runtimeapi.ContainerState_CONTAINER_CREATED {
		return false
	}
	c.state, c.started = runtimeapi.ContainerState_CONTAINER_RUNNING, at
	return true
}

// end marks the container as exited, and reports whether that is news. One that
// was never started stays as it is, unless starting it is what failed.
func (c *container) end(s protocol.State, reason, text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == runtimeapi.ContainerState_CONTAINER_EXITED {
		return false
	}
	if c.state == runtimeapi.ContainerState_CONTAINER_CREATED && reason != reasonStart {
		return false
	}
	if c.started.IsZero() {
		c.started = s.FinishedAt
	}
	c.state, c.finished, c.exitCode = runtimeapi.ContainerState_CONTAINER_EXITED, s.FinishedAt, s.ExitCode
	c.reason, c.text = reason, text
	close(c.ended)
	return true
}

// The reasons for which a container has exited, as other runtimes word them.
const (
	reasonDone  = "Completed"
	reasonError = "Error"
	reasonOOM   = "OOMKilled"
	reasonStart = "StartError"
)

func reasonOf(s protocol.State) string {
	switch {
	case s.OOMKilled:
		return reasonOOM
	case s.ExitCode != 0:
		return reasonError
	}
	return reasonDone
}

// status returns the container as ContainerStatus reports it.
func (c *container) status() *runtimeapi.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &runtimeapi.ContainerStatus{
		Id: c.id, Metadata: c.config.GetMetadata(), State: c.state, CreatedAt: c.created.UnixNano(),
		Image:    &runtimeapi.ImageSpec{Image: c.image.Ref, UserSpecifiedImage: c.config.GetImage().GetUserSpecifiedImage()},
		ImageRef: c.image.RepoDigest(), ImageId: c.image.ID,
		Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(), Mounts: c.config.GetMounts(),
		LogPath: c.log.path, StopSignal: runtimeapi.Signal(runtimeapi.Signal_value[stopSignal(c.config, c.image)]),
	}
	if !c.started.IsZero() {
		s.StartedAt = c.started.UnixNano()
	}
	if c.state == runtimeapi.ContainerState_CONTAINER_EXITED {
		s.FinishedAt, s.ExitCode, s.Reason, s.Message = c.finished.UnixNano(), c.exitCode, c.reason, c.text
	}
	return s
}

// item returns the container as ListContainers reports it.
func (c *container) item() *runtimeapi.Container {
	return &runtimeapi.Container{
		Id: c.id, PodSandboxId: c.sandbox.id, Metadata: c.config.GetMetadata(),
		Image:    &runtimeapi.ImageSpec{Image: c.image.Ref, UserSpecifiedImage: c.config.GetImage().GetUserSpecifiedImage()},
		ImageRef: c.image.RepoDigest(), ImageId: c.image.ID, State: c.current(), CreatedAt: c.created.UnixNano(),
		Labels: c.config.GetLabels(), Annotations: c.config.GetAnnotations(),
	}
}
