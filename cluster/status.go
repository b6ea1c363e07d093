package cluster

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	corev1 "k8s.io/api/core/v1"

	"frankenetes.dev/cloud"
	"frankenetes.dev/cluster/sleep"
)

// State is a cluster's as a whole.
type State string

// The states of a cluster. Partial is what an interrupted verb leaves, or a
// component that failed.
const (
	Running State = "Running"
	Paused  State = "Paused"
	Partial State = "Partial"
)

// Status is what there is of a cluster.
type Status struct {
	Name       string      `json:"name"`
	State      State       `json:"state"`
	Location   string      `json:"location"`
	Kubernetes string      `json:"kubernetes"`
	Server     string      `json:"server"`
	Created    time.Time   `json:"created"`
	Components []Component `json:"components"`
	// Pods counts the pods' container groups.
	Pods int `json:"pods"`
	// Ready says whether the API server answers and all nodes are there and Ready.
	Ready bool `json:"ready"`
	// Sleep is when it pauses itself unless it is used; nil if it never does.
	Sleep *sleep.Note `json:"sleep,omitempty"`
}

// Component is one of a cluster's container groups.
type Component struct {
	Name string `json:"name"`
	// State is the container group's: Pending, Running, Succeeded, Failed,
	// Stopped; Absent when there is no group.
	State    string `json:"state"`
	Restarts int32  `json:"restarts"`
	Address  string `json:"address,omitempty"`
	// Since is when its container started.
	Since time.Time `json:"since,omitzero"`
}

// absent is the state of a component that has no group.
const absent = "Absent"

// Status asks the cloud for everything that there is of a cluster.
func (o *Operator) Status(ctx context.Context, name string) (Status, error) {
	s, err := o.open(ctx, name)
	if err != nil {
		return Status{}, err
	}
	spec := s.record.Spec
	status := Status{
		Name: spec.Name, Location: spec.Location, Kubernetes: spec.Kubernetes,
		Server: s.userURL(), Created: spec.Created,
		Components: make([]Component, len(spec.components())),
	}
	asks := []func() error{func() error {
		groups, err := o.cloud.ListGroups(ctx, podsGroup(name))
		status.Pods = len(groups)
		return err
	}}
	for i, component := range spec.components() {
		asks = append(asks, func() error {
			g, err := o.cloud.GetGroup(ctx, name, component)
			status.Components[i] = describe(component, g)
			return err
		})
	}
	if err := both(asks...); err != nil {
		return Status{}, err
	}
	if status.State = overall(status.Components, status.Pods); status.State == Paused {
		return status, nil
	}
	status.Ready = s.nodesReady(ctx)
	status.Sleep, err = s.sleepNote(ctx)
	return status, err
}

// overall derives a cluster's state from its components'.
func overall(components []Component, pods int) State {
	running, none := 0, 0
	for _, c := range components {
		switch c.State {
		case "Running":
			running++
		case absent:
			none++
		}
	}
	switch {
	case running == len(components):
		return Running
	case none == len(components) && pods == 0:
		return Paused
	}
	return Partial
}

func describe(name string, g *cloud.Group) Component {
	c := Component{Name: name, State: absent}
	if g == nil || g.Properties == nil {
		return c
	}
	c.State = "Pending"
	if view := g.Properties.InstanceView; view != nil {
		c.State = cmp.Or(deref(view.State), c.State)
	}
	if ip := g.Properties.IPAddress; ip != nil {
		c.Address = cmp.Or(deref(ip.Fqdn), deref(ip.IP))
	}
	for _, container := range g.Properties.Containers {
		if container.Properties == nil || container.Properties.InstanceView == nil {
			continue
		}
		c.Restarts += deref(container.Properties.InstanceView.RestartCount)
		if now := container.Properties.InstanceView.CurrentState; now != nil && now.StartTime != nil {
			c.Since = now.StartTime.UTC()
		}
	}
	return c
}

func (s *subject) nodesReady(ctx context.Context) bool {
	kube, err := s.kube()
	if err != nil || !kube.ready(ctx) {
		return false
	}
	nodes, err := kube.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return false
	}
	var names []string
	for _, n := range nodes.Items {
		if ready := nodeReady(&n); ready == nil || ready.Status != corev1.ConditionTrue {
			return false
		}
		names = append(names, n.Name)
	}
	return !slices.ContainsFunc(s.record.Spec.nodes(), func(name string) bool { return !slices.Contains(names, name) })
}

// Listed is one line of the list of clusters.
type Listed struct {
	Name     string `json:"name"`
	State    State  `json:"state"`
	Location string `json:"location"`
	// Groups counts the container groups, those of pods included.
	Groups int `json:"groups"`
}

// List returns the clusters of the cloud, by name.
func (o *Operator) List(ctx context.Context) ([]Listed, error) {
	groups, err := o.cloud.ListResourceGroups(ctx)
	if err != nil {
		return nil, err
	}
	var (
		mu   sync.Mutex
		all  = []Listed{}
		asks []func() error
	)
	for _, g := range groups {
		name := deref(g.Tags[clusterTag])
		if name == "" || name != deref(g.Name) {
			continue
		}
		asks = append(asks, func() error {
			l, err := o.listed(ctx, name, deref(g.Location))
			mu.Lock()
			defer mu.Unlock()
			all = append(all, l)
			return err
		})
	}
	if err := both(asks...); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Listed) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// hasAll tells whether all components are among these groups.
func hasAll(groups []*cloud.Group, components []string) bool {
	return !slices.ContainsFunc(components, func(name string) bool {
		return !slices.ContainsFunc(groups, func(g *cloud.Group) bool { return deref(g.Name) == name })
	})
}

// listed counts groups: lists of a cloud tell no states, and are enough for an
// overview.
func (o *Operator) listed(ctx context.Context, name, location string) (Listed, error) {
	components, err := o.cloud.ListGroups(ctx, name)
	if err != nil {
		return Listed{}, err
	}
	pods, err := o.cloud.ListGroups(ctx, podsGroup(name))
	if err != nil {
		return Listed{}, err
	}
	l := Listed{Name: name, Location: location, Groups: len(components) + len(pods), State: Partial}
	switch {
	case l.Groups == 0:
		l.State = Paused
	case hasAll(components, o.expected(ctx, name)):
		l.State = Running
	}
	return l, nil
}

// expected are the components that a cluster is to have. Only its record tells
// of nodes beside the first; a cluster whose record cannot be read is listed all
// the same.
func (o *Operator) expected(ctx context.Context, name string) []string {
	record, _, err := load(ctx, o.cloud, name)
	if err != nil {
		return Components()
	}
	return record.Spec.components()
}
