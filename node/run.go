// Package node is a Kubernetes node that has no machine: the upstream kubelet,
// whose container runtime is a cloud. It exists to put the parts together: the
// kubelet built with injected dependencies and no privileges, the runtime that
// makes container groups, and the endpoint that agents call. DESIGN.md says why
// it is done this way.
package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/agents"
	"frankenetes.dev/node/config"
	"frankenetes.dev/node/images"
	"frankenetes.dev/node/machine"
	"frankenetes.dev/node/registration"
	"frankenetes.dev/node/runtime"
	"frankenetes.dev/pki"
)

// Run is a node until the context is done. The pods' groups outlive it. The
// kubelet has goroutines that end only with the process.
func Run(ctx context.Context, c config.Config, log *slog.Logger) error {
	klog.SetSlogLogger(log)
	n := &node{config: c, log: log}
	if err := n.prepare(); err != nil {
		return err
	}
	defer n.close()
	listener, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(c.AgentPort)))
	if err != nil {
		return fmt.Errorf("listen for agents: %w", err)
	}
	// Agents that call meanwhile wait in the listener's queue.
	if err := n.runtime.Recover(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}
	work, ctx := errgroup.WithContext(ctx)
	work.Go(func() error { return n.hub.Serve(ctx, listener) })
	work.Go(func() error { return n.runtime.Run(ctx) })
	work.Go(func() error {
		claimed, err := n.runtime.Claim(ctx, claimPatience)
		if err == nil {
			err = noteSizes(n.config.RootDir, claimed)
		}
		if err != nil {
			return err
		}
		return n.runKubelet(ctx)
	})
	return work.Wait()
}

// claimPatience is how long agents have to call a node that knows nothing of
// their groups: longer than they take to see that its last life is over.
const claimPatience = 40 * time.Second

// node is the parts of a node.
type node struct {
	config  config.Config
	log     *slog.Logger
	images  *images.Service
	runtime *runtime.Runtime
	hub     *agents.Hub
	machine *machine.Machine
	// close ends the connection to where groups run.
	close func()

	mu sync.Mutex
	// pod finds a pod once there is a kubelet.
	pod func(namespace, name string) (*v1.Pod, bool)
	// kube is the client that the kubelet has, once there is one.
	kube kubernetes.Interface
}

// prepare makes all parts but the kubelet.
func (n *node) prepare() error {
	if err := makeKernelLog("/dev/kmsg"); err != nil {
		return err
	}
	if err := os.MkdirAll(n.config.RootDir, 0o700); err != nil {
		return fmt.Errorf("make root directory: %w", err)
	}
	place, err := placeOf(n.config)
	if err != nil {
		return err
	}
	n.close = place.close
	authority, server, err := n.agentAuthority()
	if err != nil {
		return err
	}
	n.hub = agents.New(agents.Options{
		Authority: authority, Server: server, Log: n.log.With("part", "agents"),
		OnConnect:    func(id protocol.ID, c *protocol.Client) { n.runtime.Connected(id, c) },
		OnDisconnect: func(id protocol.ID) { n.runtime.Disconnected(id) },
	})
	n.images = images.NewService(place.registry, place.local, n.config.RootDir)
	onStage, err := measureStages()
	if err != nil {
		return err
	}
	apiServer, err := n.apiServer()
	if err != nil {
		return err
	}
	n.runtime, err = runtime.New(runtime.Options{
		APIServer:  apiServer,
		NodeName:   n.config.NodeName,
		Provider:   place.provider,
		Agents:     n.hub,
		Images:     n.images,
		Pod:        n.findPod,
		RootDir:    n.config.RootDir,
		StateDir:   filepath.Join(n.config.RootDir, "frankenetes"),
		AgentImage: n.config.AgentImage, AgentAddress: n.config.AgentAddress, AgentAuthority: authority.CertPEM(),
		Registry: place.registry.Host, OnLevel: n.showLevel, OnStage: onStage, Log: n.log.With("part", "runtime"),
	})
	if err != nil {
		return err
	}
	n.machine = machine.New(machine.Size{Name: n.config.NodeName, CPUs: n.config.CPU, Memory: uint64(n.config.Memory.Value())},
		n.config.RootDir, n.runtime.Usage)
	return nil
}

// agentAuthority loads the authority of the agents and has it sign the
// certificate by which they know this node.
func (n *node) agentAuthority() (*pki.Authority, tls.Certificate, error) {
	var none tls.Certificate
	cert, err := os.ReadFile(n.config.AgentCAFile)
	if err != nil {
		return nil, none, fmt.Errorf("read authority of the agents: %w", err)
	}
	key, err := os.ReadFile(n.config.AgentCAKeyFile)
	if err != nil {
		return nil, none, fmt.Errorf("read key of the authority of the agents: %w", err)
	}
	authority, err := pki.LoadAuthority(pki.Pair{Cert: cert, Key: key})
	if err != nil {
		return nil, none, err
	}
	host, _, err := net.SplitHostPort(n.config.AgentAddress)
	if err != nil {
		return nil, none, fmt.Errorf("--agent-address: %w", err)
	}
	leaf := pki.Leaf{CommonName: "agents of " + n.config.NodeName, Server: true, DNSNames: []string{host}}
	if ip := net.ParseIP(host); ip != nil {
		leaf.DNSNames, leaf.IPs = nil, []net.IP{ip}
	}
	pair, err := authority.Issue(leaf)
	if err != nil {
		return nil, none, err
	}
	server, err := pair.TLS()
	return authority, server, err
}

// findPod asks the kubelet for a pod of this node.
func (n *node) findPod(namespace, name string) (*v1.Pod, bool) {
	n.mu.Lock()
	find := n.pod
	n.mu.Unlock()
	if find == nil {
		return nil, false
	}
	return find(namespace, name)
}

// showLevel says in a label of the node what its containers can have.
func (n *node) showLevel(ctx context.Context, exact bool) {
	level := "plain"
	if exact {
		level = "exact"
	}
	n.mu.Lock()
	kube := n.kube
	n.mu.Unlock()
	if err := registration.Label(ctx, kube, n.config.NodeName, labelLevel, level); err != nil && ctx.Err() == nil {
		n.log.Warn("the node's label is not up to date", "label", labelLevel, "value", level, "error", err)
	}
}

// labelLevel says whether containers have namespaces of their own.
const labelLevel = "frankenetes.dev/containers"

// makeKernelLog makes the file that the kubelet's OOM watcher opens. In a
// container there is none, and it needs no content.
func makeKernelLog(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if os.IsExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return file.Close()
}
