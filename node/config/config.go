// Package config is the command line of a node. It is apart from the node
// itself so that reading it needs no kubelet.
package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// The ports of a node.
const (
	// KubeletPort serves the kubelet's API.
	KubeletPort = 10250
	// AgentPort is where agents call.
	AgentPort = 10300
)

// The providers.
const (
	// ACI is a cloud that answers the API of Azure Container Instances.
	ACI = "aci"
	// CRI is a container runtime of the node's own machine.
	CRI = "cri"
)

// Config is what a node needs to know.
type Config struct {
	// NodeName is the Kubernetes node's name, Hostname its fully qualified
	// domain name, which the serving certificate holds.
	NodeName, Hostname string
	// Address is the node's IP; empty means that of the default route.
	Address string
	// Kubeconfig is the file that says how to reach the API server as this node.
	Kubeconfig string
	// CertFile and KeyFile are the kubelet API's certificate, ClientCAFile
	// the authority of those who may call it.
	CertFile, KeyFile, ClientCAFile string
	// AgentCAFile and AgentCAKeyFile are the authority of the agents, and
	// AgentAddress what they dial, host:port.
	AgentCAFile, AgentCAKeyFile, AgentAddress string
	// Provider is where the pods' groups run: ACI or CRI.
	Provider string
	// CloudConfig is the file with the cloud's configuration; ResourceGroup,
	// Location and Subnet (an ARM id, may be empty) are where the pods' groups go.
	CloudConfig, ResourceGroup, Location, Subnet string
	// CRISocket is that of the container runtime, unix:///path, and
	// RuntimeHandler the handler of the groups' sandboxes, empty for its default.
	CRISocket, RuntimeHandler string
	// AgentImage is the image that has the agent.
	AgentImage string
	// CPU, Memory and Pods are the capacity that the node shows.
	CPU    int
	Memory resource.Quantity
	Pods   int
	// RootDir is the kubelet's directory.
	RootDir string
	// KubeletPort and AgentPort are where the node listens.
	KubeletPort, AgentPort int
	// Verbosity is that of the kubelet's own log.
	Verbosity int
}

// ParseFlags reads the command line of a node. Usage and errors of the flags
// go to w.
func ParseFlags(args []string, w io.Writer) (Config, error) {
	// What one container group can have in most places.
	c := Config{Memory: resource.MustParse("16G")}
	f := flag.NewFlagSet("virtual-kubelet", flag.ContinueOnError)
	f.SetOutput(w)
	f.StringVar(&c.NodeName, "node-name", "virtual-kubelet", "name of the node in Kubernetes")
	f.StringVar(&c.Hostname, "hostname", "", "fully qualified domain name of the node, which its certificate holds")
	f.StringVar(&c.Address, "node-ip", "", "IP address of the node (default: that of the default route)")
	f.StringVar(&c.Kubeconfig, "kubeconfig", "", "file that says how to reach the API server")
	f.StringVar(&c.CertFile, "tls-cert-file", "", "certificate of the kubelet API")
	f.StringVar(&c.KeyFile, "tls-private-key-file", "", "key of the kubelet API")
	f.StringVar(&c.ClientCAFile, "client-ca-file", "", "authority of the kubelet API's clients")
	f.StringVar(&c.AgentCAFile, "agent-ca-file", "", "certificate of the authority of the agents")
	f.StringVar(&c.AgentCAKeyFile, "agent-ca-key-file", "", "key of the authority of the agents")
	f.StringVar(&c.AgentAddress, "agent-address", "", "host:port that agents dial (default: the hostname and agent port)")
	f.StringVar(&c.Provider, "provider", ACI, "where pods run: aci, a cloud, or cri, a container runtime of this machine")
	f.StringVar(&c.CloudConfig, "cloud-config", "", "aci: file with the configuration of the cloud")
	f.StringVar(&c.ResourceGroup, "resource-group", "", "aci: resource group of the pods")
	f.StringVar(&c.Location, "location", "", "aci: location of the pods (default: the cloud's)")
	f.StringVar(&c.Subnet, "subnet", "", "aci: ARM id of the subnet of the pods (default: they are in none)")
	f.StringVar(&c.CRISocket, "cri-socket", "unix:///run/containerd/containerd.sock", "cri: socket of the container runtime")
	f.StringVar(&c.RuntimeHandler, "runtime-handler", "", "cri: runtime handler of the pods, such as kata (default: the runtime's)")
	f.StringVar(&c.AgentImage, "agent-image", "", "image of the agent")
	f.IntVar(&c.CPU, "cpu", 4, "CPUs that the node shows")
	f.Func("memory", "memory that the node shows (default 16G)", func(s string) (err error) {
		c.Memory, err = resource.ParseQuantity(s)
		return err
	})
	f.IntVar(&c.Pods, "pods", 30, "pods that the node takes")
	f.StringVar(&c.RootDir, "root-dir", "/var/lib/kubelet", "directory of the kubelet")
	f.IntVar(&c.KubeletPort, "port", KubeletPort, "port of the kubelet API")
	f.IntVar(&c.AgentPort, "agent-port", AgentPort, "port that agents call")
	f.IntVar(&c.Verbosity, "v", 0, "verbosity of the kubelet's log")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if f.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return c, c.complete()
}

// complete fills in defaults and says what is missing.
func (c *Config) complete() error {
	var missing []error
	type flags []struct{ flag, value string }
	needed := flags{
		{"hostname", c.Hostname}, {"kubeconfig", c.Kubeconfig},
		{"tls-cert-file", c.CertFile}, {"tls-private-key-file", c.KeyFile}, {"client-ca-file", c.ClientCAFile},
		{"agent-ca-file", c.AgentCAFile}, {"agent-ca-key-file", c.AgentCAKeyFile}, {"agent-image", c.AgentImage},
	}
	switch c.Provider {
	case ACI:
		needed = append(needed, flags{{"cloud-config", c.CloudConfig}, {"resource-group", c.ResourceGroup}}...)
	case CRI:
		if !strings.HasPrefix(c.CRISocket, "unix:///") {
			missing = append(missing, fmt.Errorf("--cri-socket %q does not begin with unix:///", c.CRISocket))
		}
	default:
		missing = append(missing, fmt.Errorf("--provider %q is neither %s nor %s", c.Provider, ACI, CRI))
	}
	for _, need := range needed {
		if need.value == "" {
			missing = append(missing, fmt.Errorf("flag --%s is missing", need.flag))
		}
	}
	if c.Address != "" && net.ParseIP(c.Address) == nil {
		missing = append(missing, fmt.Errorf("--node-ip %q is no IP address", c.Address))
	}
	if c.CPU < 1 || c.Pods < 1 || c.Memory.Sign() < 1 {
		missing = append(missing, errors.New("--cpu, --memory and --pods must be positive"))
	}
	if c.AgentAddress == "" {
		c.AgentAddress = net.JoinHostPort(c.Hostname, fmt.Sprint(c.AgentPort))
	}
	return errors.Join(missing...)
}
