// Package cluster makes a Kubernetes cluster out of five container groups or
// more: etcd, API server, controller manager, scheduler and nodes. It exists to turn
// the verbs of the command line (up, pause, resume, down) into lists of small
// steps against a cloud, whichever it is.
//
// The cloud is the record. What a cluster is, its authorities included, is on
// a file share of its own, so whoever has access to the cloud can list, pause
// or resume a cluster from any machine.
package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"frankenetes.dev/cluster/hours"
	"frankenetes.dev/fault"
)

// The names of a cluster's container groups, as in the posts that it comes from.
const (
	Etcd              = "etcd"
	APIServer         = "apiserver"
	ControllerManager = "controllermanager"
	Scheduler         = "scheduler"
	VirtualKubelet    = "virtual-kubelet"
)

// Components returns the groups that every cluster has, in the order in which
// they start. Further nodes are groups of their own.
func Components() []string {
	return []string{Etcd, APIServer, ControllerManager, Scheduler, VirtualKubelet}
}

const (
	// APIVersion and Kind mark the record on the share.
	APIVersion = "frankenetes.dev/v1alpha1"
	Kind       = "Cluster"

	// clusterTag is on the resource group of every cluster; its value is the
	// cluster's name.
	clusterTag = "frankenetes-cluster"
	// podsSuffix makes the resource group of a cluster's pods.
	podsSuffix = "-pods"
	// maxName leaves room for "-controllermanager-", or a node's name, and the
	// id in a DNS label.
	maxName = 38
)

// Spec is what a cluster is. It does not change when the cluster is paused.
type Spec struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	// ID tells clusters of one name apart in names that the whole cloud shares.
	ID       string `json:"id"`
	Location string `json:"location"`
	// Kubernetes is the version of the components; Image and AgentImage are
	// what the groups and the pods' agents run.
	Kubernetes string `json:"kubernetes"`
	Image      string `json:"image"`
	AgentImage string `json:"agentImage"`
	// Network is how its groups reach one another, Range the addresses of its
	// virtual network.
	Network NetworkType `json:"network,omitempty"`
	Range   string      `json:"range,omitempty"`
	// Nodes is how many there are; 0 in records of before there could be
	// several, which had one.
	Nodes int `json:"nodes,omitempty"`
	// Port is where the API server is published on the cloud's loopback
	// address; 0 where the cloud publishes nothing.
	Port int `json:"port,omitempty"`
	// Snapshots says when etcd's store is copied on its share.
	Snapshots Snapshots `json:"snapshots"`
	// Sleep says when the cluster pauses itself.
	Sleep Sleep `json:"sleep"`
	// Hours are the times at which the local cloud pauses and resumes it.
	Hours   hours.Hours `json:"hours"`
	Created time.Time   `json:"created"`
}

// Snapshots is a schedule by which etcd's store is copied, and old copies are
// removed.
type Snapshots struct {
	// Every is the time between two; none are taken where it is 0.
	Every metav1.Duration `json:"every"`
	// Keep is how many there are at most.
	Keep int `json:"keep,omitempty"`
}

// DefaultSnapshots are those of a cluster that was told nothing else: a day's.
func DefaultSnapshots() Snapshots {
	return Snapshots{Every: metav1.Duration{Duration: time.Hour}, Keep: 24}
}

// CheckSnapshots tells whether a cluster can have such a schedule.
func CheckSnapshots(s Snapshots) error {
	switch {
	case s.Every.Duration != 0 && s.Every.Duration < time.Minute:
		return fault.New(fault.Usage, "use a minute or more, such as 1h, or 0 for none", "snapshots cannot be taken every %s", s.Every.Duration)
	case s.Every.Duration != 0 && s.Keep < 1:
		return fault.New(fault.Usage, "keep one or more", "a cluster cannot keep %d snapshots", s.Keep)
	}
	return nil
}

// NewSpec fills in what is not chosen by the user.
func NewSpec(name, location, registry, kubernetes string, port int) (Spec, error) {
	id := make([]byte, 3)
	if _, err := rand.Read(id); err != nil {
		return Spec{}, fmt.Errorf("make id of cluster %s: %w", name, err)
	}
	return Spec{
		APIVersion: APIVersion, Kind: Kind,
		Name: name, ID: hex.EncodeToString(id), Location: location,
		Kubernetes: kubernetes,
		Image:      registry + "/hyperkube:" + kubernetes,
		AgentImage: registry + "/agent:latest",
		Port:       port,
		Snapshots:  DefaultSnapshots(),
		Created:    time.Now().UTC().Truncate(time.Second),
	}, nil
}

var dnsLabel = regexp.MustCompile(`^[a-z]([-a-z0-9]*[a-z0-9])?$`)

// CheckName tells whether a cluster can have the name.
func CheckName(name string) error {
	const hint = "use 1 to 38 lower-case letters, digits and hyphens, beginning with a letter, such as: demo"
	switch {
	case !dnsLabel.MatchString(name) || len(name) > maxName || strings.Contains(name, "--"):
		return fault.New(fault.Usage, hint, "cluster name %q is not a DNS label", name)
	case strings.HasSuffix(name, podsSuffix):
		return fault.New(fault.Usage, "choose a name that does not end in -pods",
			"cluster name %q is that of another cluster's pods", name)
	}
	return nil
}

// Context is the name of a cluster's entry in a kubeconfig.
func Context(name string) string { return "frankenetes-" + name }

// podsGroup is the resource group of the pods.
func podsGroup(name string) string { return name + podsSuffix }

// account is the name of the storage account, which is unique in all of Azure.
func (s Spec) account() string {
	letters := strings.ReplaceAll(s.Name, "-", "")
	return letters[:min(len(letters), 16)] + "fk" + s.ID
}

// label is a component's DNS label.
func (s Spec) label(component string) string {
	return s.Name + "-" + component + "-" + s.ID
}
