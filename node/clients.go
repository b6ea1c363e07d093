package node

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/server"
)

// minTLS is the oldest version of TLS that the kubelet's API speaks.
const minTLS = tls.VersionTLS12

// clients are the kubelet's connections to the API server. They are apart so
// that a flood of one kind does not hold up another.
type clients struct {
	kube, heartbeat, events kubernetes.Interface
	recorder                record.EventRecorderLogger
}

// clients makes the clients with the limits that the kubelet itself has; with
// client-go's defaults a pod would take seconds longer.
func (n *node) clients(ctx context.Context, c *kubeletconfig.KubeletConfiguration) (*clients, error) {
	base, err := clientcmd.BuildConfigFromFlags("", n.config.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	base.UserAgent = "frankenetes-node"
	base.ContentType = "application/vnd.kubernetes.protobuf"
	var all clients
	for _, one := range []struct {
		client *kubernetes.Interface
		adjust func(*rest.Config)
	}{
		{&all.kube, func(r *rest.Config) { r.QPS, r.Burst = float32(c.KubeAPIQPS), int(c.KubeAPIBurst) }},
		{&all.events, func(r *rest.Config) { r.QPS, r.Burst = float32(c.EventRecordQPS), int(c.EventBurst) }},
		{&all.heartbeat, func(r *rest.Config) { r.QPS, r.Timeout = -1, heartbeatTimeout(c) }},
	} {
		config := rest.CopyConfig(base)
		one.adjust(config)
		if *one.client, err = kubernetes.NewForConfig(config); err != nil {
			return nil, fmt.Errorf("make client of the API server: %w", err)
		}
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedv1.EventSinkImpl{Interface: all.events.CoreV1().Events("")})
	all.recorder = broadcaster.NewRecorder(legacyscheme.Scheme, v1.EventSource{Component: server.ComponentKubelet, Host: n.config.NodeName})
	return &all, nil
}

// apiServer is where this node reaches the API server (host:port), and its pods
// as well.
func (n *node) apiServer() (string, error) {
	base, err := clientcmd.BuildConfigFromFlags("", n.config.Kubeconfig)
	if err != nil {
		return "", fmt.Errorf("read kubeconfig: %w", err)
	}
	server, err := url.Parse(base.Host)
	if err != nil {
		return "", fmt.Errorf("read kubeconfig: address of the API server: %w", err)
	}
	return net.JoinHostPort(server.Hostname(), cmp.Or(server.Port(), "443")), nil
}
