// Package runtime is a CRI runtime whose sandboxes are container groups. It
// exists so that the upstream kubelet can run pods on a cloud: the kubelet asks
// for sandboxes, containers, streams and statistics in its own terms, and this
// package answers with one group per sandbox, made by a provider, and with the
// agents that hold the group's containers. DESIGN.md tells the whole flow.
package runtime

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	v1 "k8s.io/api/core/v1"
	internalapi "k8s.io/cri-api/pkg/apis"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
	"frankenetes.dev/node/provider"
)

const (
	// Name is what the kubelet calls this runtime, before "://" of an ID.
	Name = "frankenetes"
	// groupTimeout bounds the wait for a new group's pod agent, agentTimeout
	// that for a container's agent after it.
	groupTimeout = 5 * time.Minute
	agentTimeout = 2 * time.Minute
	// cleanTimeout bounds the deletion of what could not be made or was lost.
	cleanTimeout = time.Minute
)

// Agents is the node's end of its agents' connections. *agents.Hub is one.
type Agents interface {
	// Issue returns a one-time token for an agent.
	Issue(id protocol.ID) (string, error)
	// Await returns an agent's client as soon as the agent is connected.
	Await(ctx context.Context, id protocol.ID) (*protocol.Client, error)
	// Connected returns an agent's client if the agent is connected.
	Connected(id protocol.ID) (*protocol.Client, bool)
	// Forget ends a group's connections and refuses it from now on.
	Forget(group string)
}

// Images tells how to run images. *images.Service is one.
type Images interface {
	ForPod(ctx context.Context, uid, ref string, policy v1.PullPolicy) (images.Image, *images.Account, error)
	Assign(uid string, image images.Image)
	// Root returns the root file system of an image that a pod runs, as a tar
	// archive.
	Root(ctx context.Context, uid string, image images.Image) (io.ReadCloser, error)
	Release(uid string)
}

// Options are what a Runtime needs.
type Options struct {
	// NodeName is the Kubernetes node's name; groups are tagged with it.
	NodeName string
	Provider provider.Provider
	Agents   Agents
	Images   Images
	// Pod finds a pod of this node by namespace and name.
	Pod func(namespace, name string) (*v1.Pod, bool)
	// RootDir is the kubelet's root directory, where it writes volumes.
	RootDir string
	// StateDir is where the runtime keeps what it must know after a restart;
	// empty means that it keeps nothing and starts every pod anew.
	StateDir string
	// AgentImage is the image of the agents, AgentAddress what they dial
	// (host:port), AgentAuthority the PEM certificate by which they know it.
	AgentImage     string
	AgentAddress   string
	AgentAuthority []byte
	// APIServer is where pods reach the API server (host:port); empty leaves
	// them the address of its Service.
	APIServer string
	// Registry is the host of the cloud's own registry.
	Registry string
	// StreamIdle is how long exec, attach and port-forward go on when nothing is
	// heard of a client, who says every few seconds that it is there; zero means
	// the kubelet's own four hours.
	StreamIdle time.Duration
	// OnLevel, if not nil, is told whether the cloud's containers can have
	// namespaces of their own, as soon as that is known and when it changes.
	OnLevel func(ctx context.Context, exact bool)
	// OnStage, if not nil, is told how long each stage of a pod's start took.
	OnStage func(stage Stage, took time.Duration)
	Log     *slog.Logger
}

// Runtime implements the kubelet's RuntimeService. It is safe for concurrent use.
type Runtime struct {
	opts    Options
	log     *slog.Logger
	streams *streams
	volumes *fsnotify.Watcher
	events  broadcaster
	tasks   tasks
	meter   meter
	level   level
	// failures are the pods whose groups were refused.
	failures failures
	// life ends when the runtime does.
	life context.Context
	end  context.CancelFunc
	// nudge asks for a look at the groups, soon.
	nudge chan struct{}

	mu         sync.Mutex
	sandboxes  map[string]*sandbox
	containers map[string]*container
	// groups are the sandboxes by their groups' names, also those that are
	// still being made.
	groups   map[string]*sandbox
	prepared map[string]*preparation
	watched  map[string]*volume
	// claims are the groups that are not known yet to be ours to go on with.
	claims map[string]*claim
	// strays are the groups of nobody that are being deleted.
	strays map[string]bool
}

var _ internalapi.RuntimeService = (*Runtime)(nil)

// New returns a runtime with no sandboxes. Run must be called for it to work.
func New(o Options) (*Runtime, error) {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch volumes: %w", err)
	}
	r := &Runtime{
		opts: o, log: log, volumes: watcher, nudge: make(chan struct{}, 1),
		sandboxes: map[string]*sandbox{}, containers: map[string]*container{},
		groups: map[string]*sandbox{}, prepared: map[string]*preparation{}, watched: map[string]*volume{}, claims: map[string]*claim{}, strays: map[string]bool{},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		_ = watcher.Close()
		return nil, fmt.Errorf("serve streams: %w", err)
	}
	if r.streams, err = newStreams(r, listener); err != nil {
		_ = watcher.Close()
		_ = listener.Close()
		return nil, err
	}
	r.life, r.end = context.WithCancel(context.Background())
	return r, nil
}

// Run works until the context is done, and returns when all that it and the
// runtime's methods started has ended. Groups and their processes go on.
func (r *Runtime) Run(ctx context.Context) error {
	failed := make(chan error, 1)
	r.tasks.start(func() {
		if err := r.streams.serve(); err != nil {
			failed <- err
		}
	})
	r.tasks.start(r.watchVolumes)
	r.tasks.start(r.keepWatch)
	r.tasks.start(r.keepMeter)
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	r.end()
	r.streams.close()
	_ = r.volumes.Close()
	r.tasks.wait()
	for _, sb := range r.allSandboxes() {
		r.record(sb)
	}
	return err
}

// Close does nothing: the runtime is in the kubelet's process, and Run owns it.
func (r *Runtime) Close(context.Context) error { return nil }

// client returns the agent of a container of a sandbox, waiting for it if it
// is not connected.
func (r *Runtime) client(ctx context.Context, sb *sandbox, name string) (*protocol.Client, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, agentTimeout, fmt.Errorf("it did not call within %s", agentTimeout))
	defer cancel()
	defer context.AfterFunc(sb.life, cancel)()
	return r.opts.Agents.Await(ctx, protocol.ID{Group: sb.group, Container: name})
}

// tasks are the goroutines of a runtime. The zero value is ready.
type tasks struct {
	mu     sync.Mutex
	closed bool
	all    sync.WaitGroup
}

// start runs f in a goroutine, unless the runtime is ending.
func (t *tasks) start(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.all.Go(f)
	}
}

// wait lets nothing start any more and waits for what has.
func (t *tasks) wait() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.all.Wait()
}
