package cluster

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"frankenetes.dev/fault"
)

// Resume starts a cluster from what is on its share. It may be called again
// whenever it was interrupted, and does no harm to a cluster that runs. A port
// other than 0 is where the API server is published from now on.
func (o *Operator) Resume(ctx context.Context, name string, port int) (Access, error) {
	if err := CheckPort(port); err != nil {
		return Access{}, err
	}
	s, err := o.open(ctx, name)
	if err != nil {
		return Access{}, err
	}
	return o.start(ctx, s.record, s.storage, port, 0)
}

// Pause deletes every container group of a cluster and its pods, in an order
// that loses nothing: first what writes, then the API server, then etcd, which
// is asked to end and given the time for it. The shares stay. It may be called
// again whenever it was interrupted.
func (o *Operator) Pause(ctx context.Context, name string) error {
	s, err := o.open(ctx, name)
	if err != nil {
		return err
	}
	steps := append(s.pauseSteps(),
		Step{Name: "etcd", Needs: []string{"API server"}, Run: s.stopEtcd},
		Step{Name: "Nothing left", Needs: []string{"etcd", "Pods"}, Run: s.checkGone})
	if s.subnet != "" {
		steps = append(steps, Step{Name: "Network", Needs: []string{"etcd", "Pods"}, Run: s.stopNetwork})
	}
	return run(ctx, steps, o.progress)
}

// pauseSteps are the steps of a pause before etcd's: what writes goes first.
func (s *subject) pauseSteps() []Step {
	nodes := s.record.Spec.nodesStep()
	return []Step{
		{Name: nodes, Run: s.stopNodes},
		{Name: "Pods", Needs: []string{nodes}, Run: s.stopPods},
		{Name: "Controllers", Run: s.stopControllers},
		{Name: "API server", Needs: []string{nodes, "Controllers"}, Run: s.stopAPIServer},
	}
}

func (s *subject) stopNodes(ctx context.Context) (string, error) {
	return s.deleteNodes(ctx, s.name())
}

// stopPods deletes the pods' groups; the nodes, which would make them anew, are
// gone by then.
func (s *subject) stopPods(ctx context.Context) (string, error) {
	groups, err := s.cloud.ListGroups(ctx, podsGroup(s.name()))
	if err != nil {
		return "", err
	}
	var deletes []func() error
	for _, g := range groups {
		deletes = append(deletes, func() error { return s.cloud.DeleteGroup(ctx, podsGroup(s.name()), *g.Name) })
	}
	return fmt.Sprintf("%d deleted", len(groups)), both(deletes...)
}

// stopControllers deletes the controllers and frees the leases that they
// held: a lease that has to run out costs the next start 15 s.
func (s *subject) stopControllers(ctx context.Context) (string, error) {
	err := both(
		func() error { return s.cloud.DeleteGroup(ctx, s.name(), ControllerManager) },
		func() error { return s.cloud.DeleteGroup(ctx, s.name(), Scheduler) })
	if err != nil {
		return "", err
	}
	kube, err := s.kube()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	if !kube.ready(ctx) || kube.releaseLeases(ctx) != nil {
		// No reason not to pause: the next start only takes longer.
		return "deleted, their leases will have to run out", nil
	}
	return "deleted, their leases freed", nil
}

// leaseTimeout bounds the freeing of leases, which a sick API server refuses
// or never answers.
const leaseTimeout = 5 * time.Second

func (s *subject) stopAPIServer(ctx context.Context) (string, error) {
	return "deleted", s.cloud.DeleteGroup(ctx, s.name(), APIServer)
}

// etcdGrace is how long etcd may take to end by itself. Longer helps nobody:
// what it has acknowledged is on the share already.
const etcdGrace = 10 * time.Second

func (s *subject) stopEtcd(ctx context.Context) (string, error) {
	g, err := s.cloud.GetGroup(ctx, s.name(), Etcd)
	if err != nil {
		return "", err
	}
	detail := "was not running"
	if running(g) {
		detail = "ended by itself"
		if err := s.endEtcd(ctx); err != nil {
			detail = fmt.Sprintf("killed (%v)", err)
		}
	}
	return detail, s.cloud.DeleteGroup(ctx, s.name(), Etcd)
}

// endEtcd sends etcd SIGTERM, which deleting a group does not do, and waits
// until it has ended.
func (s *subject) endEtcd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, etcdGrace)
	defer cancel()
	if _, err := s.cloud.Exec(ctx, s.name(), Etcd, Etcd, "/usr/local/bin/stop"); err != nil {
		return err
	}
	return poll(ctx, func() (bool, error) {
		g, err := s.cloud.GetGroup(ctx, s.name(), Etcd)
		return err == nil && !running(g), err
	})
}

// checkGone proves that nothing is left to pay for.
func (s *subject) checkGone(ctx context.Context) (string, error) {
	var left atomic.Int64
	count := func(resourceGroup string) func() error {
		return func() error {
			groups, err := s.cloud.ListGroups(ctx, resourceGroup)
			left.Add(int64(len(groups)))
			return err
		}
	}
	if err := both(count(s.name()), count(podsGroup(s.name()))); err != nil {
		return "", err
	}
	if n := left.Load(); n > 0 {
		return "", fault.New(fault.Conflict, "call pause again; if it stays so, something else makes groups there",
			"%d container groups of cluster %s are still there", n, s.name())
	}
	return "0 container groups; data stays on account " + s.storage.account, nil
}
