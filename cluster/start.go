package cluster

import (
	"context"
	"fmt"

	"frankenetes.dev/cloud"
)

// startSteps are the steps that up and resume share: from a record to a
// cluster whose nodes are Ready. grouped is the step that makes the resource
// group, recorded the one that writes the record, where there are such.
func (s *subject) startSteps(grouped, recorded string) []Step {
	var steps []Step
	first := needs(recorded)
	if s.subnet != "" {
		steps = append(steps, Step{Name: "Network", Needs: needs(grouped), Run: s.startNetwork})
		first = append(first, "Network")
	}
	return append(steps, []Step{
		{Name: "etcd", Needs: first, Run: s.startEtcd},
		{Name: "API server", Needs: first, Run: s.startAPIServer},
		// Controllers that start before the API server is ready wait for it in
		// pauses of seconds, and take the processors from it meanwhile.
		{Name: "Controllers", Needs: []string{"API server"}, Run: s.startControllers},
		{Name: s.record.Spec.nodesStep(), Needs: first, Run: s.startNodes},
		{Name: "Access", Needs: []string{"API server"}, Run: s.allowAccess},
	}...)
}

// needs is a list of steps that has one, or none.
func needs(step string) []string {
	if step == "" {
		return nil
	}
	return []string{step}
}

func (s *subject) startEtcd(ctx context.Context) (string, error) {
	if err := s.putEtcd(ctx); err != nil {
		return "", err
	}
	close(s.stored)
	if err := s.awaitRunning(ctx, Etcd); err != nil {
		return "", err
	}
	return "data on share " + s.storage.account + "/" + etcdShare, nil
}

func (s *subject) startAPIServer(ctx context.Context) (string, error) {
	c, err := s.signer.apiserver(s.record, s.publish())
	if _, err := s.put(ctx, c, err); err != nil {
		return "", err
	}
	kube, err := s.kube()
	if err != nil {
		return "", err
	}
	// etcd's own step, beside this one, may not have come that far.
	select {
	case <-s.stored:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	// It waits for etcd; if that does not run, say so rather than wait.
	err = s.guard(ctx, Etcd, func(ctx context.Context) error { return s.guard(ctx, APIServer, kube.awaitReady) })
	if err != nil {
		return "", err
	}
	close(s.ready)
	return s.userURL(), nil
}

func (s *subject) startControllers(ctx context.Context) (string, error) {
	kube, err := s.kube()
	if err != nil {
		return "", err
	}
	start := func(build func() (component, error), lease string) func() error {
		return func() error {
			c, err := build()
			since, err := s.put(ctx, c, err)
			if err != nil {
				return err
			}
			return s.guard(ctx, c.name, func(ctx context.Context) error { return kube.awaitLease(ctx, lease, since) })
		}
	}
	manager := func() (component, error) { return s.signer.controllerManager(s.record) }
	return "controller manager, scheduler", both(
		start(manager, controllerManagerLease),
		start(s.signer.scheduler, schedulerLease),
		func() error { return kube.awaitServiceAccount(ctx) })
}

// identity makes the nodes' identity in the cloud, and gives it the pods'
// resource group, the subnet that they are in, and nothing else.
func (s *subject) identity(ctx context.Context) (cloud.Identity, error) {
	location := s.record.Spec.Location
	id, err := s.cloud.PutIdentity(ctx, s.name(), VirtualKubelet, location)
	if err != nil {
		return id, err
	}
	if err := s.putPodsGroup(ctx); err != nil {
		return id, err
	}
	if s.subnet != "" {
		if err := s.cloud.Allow(ctx, id, cloud.NetworkContributor, s.subnet); err != nil {
			return id, err
		}
	}
	return id, s.cloud.AllowContributor(ctx, id, podsGroup(s.name()))
}

// putPodsGroup makes the resource group of the pods.
func (s *subject) putPodsGroup(ctx context.Context) error {
	tags := map[string]string{clusterTag + podsSuffix: s.name()}
	return s.cloud.PutResourceGroup(ctx, podsGroup(s.name()), s.record.Spec.Location, tags)
}

func (s *subject) allowAccess(ctx context.Context) (string, error) {
	kube, err := s.kube()
	if err != nil {
		return "", err
	}
	if err := kube.bootstrap(ctx); err != nil {
		return "", err
	}
	if !s.record.Initialized {
		s.record.Initialized = true
		if err := s.record.save(ctx, s.cloud, s.storage); err != nil {
			return "", err
		}
	}
	return "roles, default limits", nil
}

// publish is the value of the tag by which the API server's port is published
// on this machine; empty where its own name can be reached.
func (s *subject) publish() string {
	if s.record.Spec.Port == 0 {
		return ""
	}
	return fmt.Sprintf("%d:6443", s.record.Spec.Port)
}

// userURL is where users find the API server.
func (s *subject) userURL() string {
	if s.record.Spec.Port == 0 || s.cloud.PublishOn == "" {
		return s.signer.apiURL()
	}
	return fmt.Sprintf("https://%s:%d", s.cloud.PublishOn, s.record.Spec.Port)
}
