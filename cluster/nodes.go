package cluster

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"frankenetes.dev/cloud"
	"frankenetes.dev/fault"
)

// MaxNodes is the most nodes that a cluster can have: a name with one digit
// more would not fit into a DNS label beside the longest name of a cluster.
const MaxNodes = 9

// CheckNodes tells whether a cluster can have so many nodes.
func CheckNodes(n int) error {
	if n < 1 || n > MaxNodes {
		return fault.New(fault.Usage, fmt.Sprintf("choose a number from 1 to %d, or leave --nodes out", MaxNodes),
			"a cluster cannot have %d nodes", n)
	}
	return nil
}

// nodeName is what the nth node is called, counted from 1: in Kubernetes, in
// the cloud and in DNS. The first has the name that it has in the posts.
func nodeName(n int) string {
	if n == 1 {
		return VirtualKubelet
	}
	return VirtualKubelet + "-" + strconv.Itoa(n)
}

// isNode tells whether a name is one that a node of ours can have.
func isNode(name string) bool {
	for n := 1; n <= MaxNodes; n++ {
		if name == nodeName(n) {
			return true
		}
	}
	return false
}

// nodes are the names of a cluster's nodes. Records of before there could be
// several say nothing of them.
func (s Spec) nodes() []string {
	names := make([]string, max(s.Nodes, 1))
	for i := range names {
		names[i] = nodeName(i + 1)
	}
	return names
}

// components are the names of a cluster's container groups in the order in
// which they start.
func (s Spec) components() []string {
	others := slices.DeleteFunc(Components(), isNode)
	return append(others, s.nodes()...)
}

// resize writes another number of nodes into the record; 0 leaves it as it
// is. The nodes follow when the cluster is started.
func (s *subject) resize(ctx context.Context, nodes int) error {
	spec := &s.record.Spec
	if nodes == 0 || nodes == len(spec.nodes()) {
		return nil
	}
	spec.Nodes = nodes
	s.signer.spec = *spec
	return s.record.save(ctx, s.cloud, s.storage)
}

// startNodes starts the nodes that there are to be, and takes out of the
// cluster those that there are not to be any more.
func (s *subject) startNodes(ctx context.Context) (string, error) {
	identity, err := s.identity(ctx)
	if err != nil {
		return "", err
	}
	var gone []string
	names := s.record.Spec.nodes()
	work := []func() error{s.onceReady(ctx, func() (err error) {
		gone, err = s.removeNodes(ctx)
		return err
	})}
	for _, name := range names {
		work = append(work, func() error { return s.startNode(ctx, name, identity) })
	}
	if err := both(work...); err != nil {
		return "", err
	}
	detail := strings.Join(names, ", ") + " is Ready"
	if len(names) > 1 {
		detail = fmt.Sprintf("%d nodes are Ready", len(names))
	}
	if len(gone) > 0 {
		detail += "; removed " + strings.Join(gone, ", ")
	}
	return detail, nil
}

func (s *subject) startNode(ctx context.Context, name string, identity cloud.Identity) error {
	c, err := s.signer.node(name, identity, s.subnet)
	since, err := s.put(ctx, c, err)
	if err != nil {
		return err
	}
	kube, err := s.kube()
	if err != nil {
		return err
	}
	return s.guard(ctx, name, func(ctx context.Context) error {
		return s.onceReady(ctx, func() error {
			if err := kube.awaitNode(ctx, name, since); err != nil {
				return err
			}
			return kube.readmit(ctx, name)
		})()
	})
}

// onceReady delays fn until the API server is ready.
func (s *subject) onceReady(ctx context.Context, fn func() error) func() error {
	return func() error {
		select {
		case <-s.ready:
			return fn()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// deleteNodes deletes the groups of all nodes that a resource group has, be it
// that the record does not know of them any more.
func (o *Operator) deleteNodes(ctx context.Context, resourceGroup string) (string, error) {
	groups, err := o.cloud.ListGroups(ctx, resourceGroup)
	if err != nil {
		return "", err
	}
	var deletes []func() error
	for _, g := range groups {
		if name := deref(g.Name); isNode(name) {
			deletes = append(deletes, func() error { return o.cloud.DeleteGroup(ctx, resourceGroup, name) })
		}
	}
	if len(deletes) == 1 {
		return "deleted", both(deletes...)
	}
	return fmt.Sprintf("%d deleted", len(deletes)), both(deletes...)
}

// nodesStep is what the step about nodes is called.
func (s Spec) nodesStep() string {
	if len(s.nodes()) > 1 {
		return "Nodes"
	}
	return "Node"
}
