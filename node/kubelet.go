package node

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	noop "go.opentelemetry.io/otel/trace/noop"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	podutil "k8s.io/kubernetes/pkg/api/v1/pod"
	"k8s.io/kubernetes/pkg/capabilities"
	"k8s.io/kubernetes/pkg/credentialprovider"
	"k8s.io/kubernetes/pkg/kubelet"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/cadvisor"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	podconfig "k8s.io/kubernetes/pkg/kubelet/config"
	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
	"k8s.io/kubernetes/pkg/kubelet/server"
	kubetypes "k8s.io/kubernetes/pkg/kubelet/types"
	"k8s.io/kubernetes/pkg/kubelet/util"
	"k8s.io/kubernetes/pkg/util/oom"
	"k8s.io/kubernetes/pkg/volume/util/hostutil"

	"frankenetes.dev/node/config"
	"frankenetes.dev/node/machine"
	"frankenetes.dev/node/registration"
)

var _ cadvisor.Interface = (*machine.Machine)(nil)

// features are the gates of the kubelet that differ from their defaults.
var features = map[string]bool{
	// There is no cgroup of a pod to be read here.
	"PodAndContainerStatsFromCRI": true,
}

// runKubelet builds the kubelet and runs it until the context is done.
func (n *node) runKubelet(ctx context.Context) error {
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(features); err != nil {
		return fmt.Errorf("set feature gates: %w", err)
	}
	flags, config, err := n.settings()
	if err != nil {
		return err
	}
	deps, err := n.dependencies(ctx, config)
	if err != nil {
		return err
	}
	address, err := n.address()
	if err != nil {
		return err
	}
	if err := registration.Register(ctx, deps.KubeClient, n.config.NodeName, flags.NodeLabels, n.log); err != nil {
		return err
	}
	k, err := n.newKubelet(ctx, address, flags, config, deps)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.pod, n.kube = k.GetPodByName, deps.KubeClient
	n.mu.Unlock()
	k.BirthCry()
	k.StartGarbageCollection(ctx)
	go k.Run(ctx, n.relay(ctx, deps.PodConfig.Updates()))
	go k.ListenAndServe(ctx, config, deps.TLSConfig, deps.Auth, deps.TracerProvider)
	n.tell(ctx, k.RequestPodRelist)
	return nil
}

// newKubelet makes a kubelet that knows its node, and begins to watch its pods.
// One that was to do so by itself would look for the node but once a second.
func (n *node) newKubelet(ctx context.Context, address net.IP, flags *options.KubeletFlags,
	config *kubeletconfig.KubeletConfiguration, deps *kubelet.Dependencies) (*kubelet.Kubelet, error) {
	capabilities.Initialize(capabilities.Capabilities{AllowPrivileged: true}) // the runtime refuses it, with a reason
	credentialprovider.SetPreferredDockercfgPath(n.config.RootDir)
	name := types.NodeName(n.config.NodeName)
	deps.PodConfig = podconfig.NewPodConfig(deps.Recorder, deps.PodStartupLatencyTracker)
	pods := deps.PodConfig.Channel(ctx, kubetypes.ApiserverSource)
	k, err := kubelet.NewMainKubelet(ctx, config, deps, &flags.ContainerRuntimeOptions,
		n.config.Hostname, name, []net.IP{address},
		"", "", flags.CertDirectory, n.config.RootDir, config.PodLogsDir,
		"", "", true, nil, nil, "", false, false,
		flags.MinimumGCAge, flags.MaxPerPodContainerCount, flags.MaxContainerCount,
		flags.NodeLabels, config.NodeStatusMaxImages, false)
	if err != nil {
		return nil, fmt.Errorf("make kubelet: %w", err)
	}
	// The kubelet's informer tells nobody when it has got the node.
	for seen := false; !seen; {
		_, err := k.GetNode(ctx)
		seen = err == nil
		select {
		case <-time.After(nodeLook):
		case <-ctx.Done():
			return nil, fmt.Errorf("await node %s: %w", name, context.Cause(ctx))
		}
	}
	podconfig.NewSourceApiserver(klog.FromContext(ctx), deps.KubeClient, name, func() bool { return true }, pods)
	return k, nil
}

// nodeLook is how often the kubelet is asked whether it has got its node.
const nodeLook = 5 * time.Millisecond

// settings are the kubelet's flags and configuration: its defaults but for what
// a node without a machine cannot have.
func (n *node) settings() (*options.KubeletFlags, *kubeletconfig.KubeletConfiguration, error) {
	c, err := options.NewKubeletConfiguration()
	if err != nil {
		return nil, nil, fmt.Errorf("make kubelet configuration: %w", err)
	}
	c.Address, c.Port, c.ReadOnlyPort, c.HealthzPort = "0.0.0.0", int32(n.config.KubeletPort), 0, 0
	c.Authentication.Anonymous.Enabled = false
	c.Authentication.Webhook.Enabled = true
	c.Authentication.X509.ClientCAFile = n.config.ClientCAFile
	c.Authorization.Mode = kubeletconfig.KubeletAuthorizationModeWebhook
	// The certificate that it is given serves until it has one of its own, and
	// renews that.
	c.TLSCertFile, c.TLSPrivateKeyFile, c.ServerTLSBootstrap = n.config.CertFile, n.config.KeyFile, true
	c.MaxPods = int32(n.config.Pods)
	c.CgroupsPerQOS, c.EnforceNodeAllocatable, c.FailSwapOn = false, nil, false
	// Pods have limits of disk; the node is short of nothing itself.
	c.LocalStorageCapacityIsolation, c.EvictionHard = true, nil
	c.MakeIPTablesUtilChains, c.HairpinMode = false, kubeletconfig.HairpinNone
	c.SerializeImagePulls, c.RegistryPullQPS = false, 0
	c.ImageGCHighThresholdPercent, c.ImageGCLowThresholdPercent = 100, 99
	// The agents see to it that this costs little.
	c.VolumeStatsAggPeriod.Duration = volumeLook
	c.PodLogsDir = filepath.Join(n.config.RootDir, "pod-logs")
	c.NodeStatusMaxImages = 50

	f := options.NewKubeletFlags()
	f.RootDirectory = n.config.RootDir
	f.CertDirectory = filepath.Join(n.config.RootDir, "pki")
	f.NodeLabels = labels(n.config)
	return f, c, nil
}

// volumeLook is how often volumes are measured: as often as the kubelet looks for
// pods whose volumes hold too much.
const volumeLook = 10 * time.Second

// labels are those of the node that the kubelet does not set by itself.
func labels(c config.Config) map[string]string {
	all := map[string]string{
		"type": "virtual-kubelet",
		// The hostname may be longer than a label's value.
		v1.LabelHostname:           c.NodeName,
		v1.LabelInstanceTypeStable: "container-groups",
	}
	// It has no zone: groups are in none unless they ask for one.
	if c.Location != "" {
		all[v1.LabelTopologyRegion] = c.Location
	}
	return all
}

// dependencies are the parts of the kubelet that touch a machine, replaced by
// ones that do not, and the clients.
func (n *node) dependencies(ctx context.Context, config *kubeletconfig.KubeletConfiguration) (*kubelet.Dependencies, error) {
	clients, err := n.clients(ctx, config)
	if err != nil {
		return nil, err
	}
	auth, reload, err := app.BuildAuth(types.NodeName(n.config.NodeName), clients.kube, *config)
	if err != nil {
		return nil, fmt.Errorf("authenticate the kubelet's clients: %w", err)
	}
	reload(ctx.Done())
	mounts := machine.NewMounts()
	return &kubelet.Dependencies{
		KubeClient: clients.kube, HeartbeatClient: clients.heartbeat, EventClient: clients.events.CoreV1(),
		Recorder:             clients.recorder,
		Auth:                 auth,
		TLSOptions:           &server.TLSOptions{CertFile: n.config.CertFile, KeyFile: n.config.KeyFile, ClientCAFile: n.config.ClientCAFile, MinVersion: minTLS},
		RemoteRuntimeService: n.runtime, RemoteImageService: n.images,
		CAdvisorInterface: n.machine,
		ContainerManager:  noCgroups{cm.NewStubContainerManager(), n.machine},
		OOMAdjuster:       oom.NewFakeOOMAdjuster(),
		OSInterface:       kubecontainer.RealOS{},
		Mounter:           mounts, HostUtil: hostUtil{hostutil.NewHostUtil()}, Subpather: subPaths{},
		VolumePlugins:             volumePlugins(ctx, n.runtime.VolumeUsage),
		TracerProvider:            noop.NewTracerProvider(),
		PodStartupLatencyTracker:  util.NewPodStartupLatencyTracker(),
		NodeStartupLatencyTracker: util.NewNodeStartupLatencyTracker(),
	}, nil
}

// relay passes pods on to the kubelet, and lets the runtime see them first: it
// makes their groups while the kubelet still admits them.
func (n *node) relay(ctx context.Context, from <-chan kubetypes.PodUpdate) <-chan kubetypes.PodUpdate {
	to := make(chan kubetypes.PodUpdate)
	go func() {
		for {
			var update kubetypes.PodUpdate
			select {
			case update = <-from:
			case <-ctx.Done():
				return
			}
			n.foresee(update)
			select {
			case to <- update:
			case <-ctx.Done():
				return
			}
		}
	}()
	return to
}

func (n *node) foresee(update kubetypes.PodUpdate) {
	for _, pod := range update.Pods {
		over := pod.DeletionTimestamp != nil || pod.Status.Phase == "Failed" || pod.Status.Phase == "Succeeded"
		switch {
		case over, update.Op == kubetypes.REMOVE, update.Op == kubetypes.DELETE:
			n.runtime.Discard(string(pod.UID))
		case update.Op == kubetypes.ADD:
			n.runtime.Prepare(pod)
		case podutil.IsPodReady(pod):
			n.runtime.Ready(string(pod.UID))
		}
	}
}

// address is the node's IP address.
func (n *node) address() (net.IP, error) {
	if n.config.Address != "" {
		return net.ParseIP(n.config.Address), nil
	}
	ip, err := utilnet.ResolveBindAddress(nil)
	if err != nil {
		return nil, fmt.Errorf("find the node's address: %w", err)
	}
	return ip, nil
}

// heartbeatTimeout is the most that one heartbeat may take, given how often the
// node's state is reported and how long its lease lasts.
func heartbeatTimeout(c *kubeletconfig.KubeletConfiguration) time.Duration {
	return min(c.NodeStatusUpdateFrequency.Duration, time.Duration(c.NodeLeaseDurationSeconds)*time.Second)
}
