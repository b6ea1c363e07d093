package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/util/retry"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

const (
	// leaving taints a node that is being taken out of its cluster.
	leaving = "frankenetes.dev/leaving"
	// nodeTag is on every pod's container group; its value is the node's name.
	nodeTag = "frankenetes-node"
	// evictionTime is how long disruption budgets may hold up that a node
	// leaves, and endTime how long what is then left may take to end.
	evictionTime = 90 * time.Second
	endTime      = 35 * time.Second
	// askTime bounds one question: the client itself asks again and again where
	// a budget refuses.
	askTime = 5 * time.Second
)

// removeNodes takes the nodes out of a cluster that it has and, by its record,
// should not have, and returns their names. It needs the API server, and goes
// on wherever an earlier attempt was interrupted.
func (s *subject) removeNodes(ctx context.Context) ([]string, error) {
	kube, err := s.kube()
	if err != nil {
		return nil, err
	}
	names, err := kube.nodeNames(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := s.cloud.ListGroups(ctx, s.name())
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		names = append(names, deref(g.Name))
	}
	stay := s.record.Spec.nodes()
	names = slices.DeleteFunc(names, func(name string) bool { return !isNode(name) || slices.Contains(stay, name) })
	slices.Sort(names)
	names = slices.Compact(names)
	var work []func() error
	for _, name := range names {
		work = append(work, func() error { return s.removeNode(ctx, kube, name) })
	}
	return names, both(work...)
}

// removeNode takes one node out: its pods go elsewhere or end in their own
// time as far as the node still runs, and then nothing of it stays.
func (s *subject) removeNode(ctx context.Context, kube *kube, name string) error {
	g, err := s.cloud.GetGroup(ctx, s.name(), name)
	if err != nil {
		return err
	}
	if running(g) {
		if err := kube.drain(ctx, name); err != nil {
			return err
		}
	}
	if err := s.cloud.DeleteGroup(ctx, s.name(), name); err != nil {
		return err
	}
	return both(
		func() error { return kube.forget(ctx, name) },
		func() error { return s.deletePods(ctx, name) },
		func() error { return s.dropName(ctx, name) })
}

// drain has a node's pods leave it. They are evicted, as far as disruption
// budgets let them in time; what is left then, the pods of DaemonSets too, is
// told to end once there is no such node for which it would be made anew.
func (k *kube) drain(ctx context.Context, node string) error {
	if err := k.taint(ctx, node, true); err != nil {
		return err
	}
	if err := k.whilePods(ctx, node, evictionTime, k.evict); err != nil {
		return err
	}
	if err := k.deleteNode(ctx, node); err != nil {
		return err
	}
	return k.whilePods(ctx, node, endTime, k.end)
}

// whilePods asks every pod of a node that has not ended to leave, again and
// again, until there is none that ask has anything to do with, or time is over.
func (k *kube) whilePods(ctx context.Context, node string, atMost time.Duration,
	ask func(context.Context, *corev1.Pod) (mine bool, err error)) error {
	end := time.Now().Add(atMost)
	return poll(ctx, func() (bool, error) {
		pods, err := k.podsOf(ctx, node)
		if err != nil || time.Now().After(end) {
			return true, err
		}
		var left atomic.Bool
		var asks []func() error
		for i := range pods {
			if phase := pods[i].Status.Phase; phase == corev1.PodSucceeded || phase == corev1.PodFailed {
				continue
			}
			asks = append(asks, func() error {
				ctx, cancel := context.WithTimeout(ctx, askTime)
				defer cancel()
				mine, err := ask(ctx, &pods[i])
				if mine {
					left.Store(true)
				}
				if ctx.Err() != nil {
					return nil // the next round asks again
				}
				return err
			})
		}
		err = both(asks...)
		return !left.Load(), err
	})
}

// evict asks for a pod's eviction, unless it is a DaemonSet's, which would only
// be made anew. That the API refuses, as it does where a disruption budget
// forbids it for now, is no error: what is left in the end is not asked.
func (k *kube) evict(ctx context.Context, pod *corev1.Pod) (bool, error) {
	if owner := metav1.GetControllerOf(pod); owner != nil && owner.Kind == "DaemonSet" {
		return false, nil
	}
	if pod.DeletionTimestamp != nil {
		return true, nil
	}
	err := k.client.PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}, DeleteOptions: exactly(pod)})
	var refused apierrors.APIStatus
	if err != nil && !errors.As(err, &refused) {
		return true, fmt.Errorf("evict pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return true, nil
}

// end tells a pod to end in its own time.
func (k *kube) end(ctx context.Context, pod *corev1.Pod) (bool, error) {
	if pod.DeletionTimestamp != nil {
		return true, nil
	}
	return true, k.deletePod(ctx, pod, exactly(pod))
}

// exactly are the options by which this pod is deleted, and no other that has
// its name meanwhile.
func exactly(pod *corev1.Pod) *metav1.DeleteOptions {
	return &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))}
}

// deletePod deletes a pod; that it is gone, or another has its name, is no error.
func (k *kube) deletePod(ctx context.Context, pod *corev1.Pod, options *metav1.DeleteOptions) error {
	err := k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *options)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// forget deletes what the API has of a node that is gone, its pods included:
// nobody is left who could say that they have ended.
func (k *kube) forget(ctx context.Context, node string) error {
	if err := k.deleteNode(ctx, node); err != nil {
		return err
	}
	pods, err := k.podsOf(ctx, node)
	if err != nil {
		return err
	}
	var deletes []func() error
	for i := range pods {
		options := exactly(&pods[i])
		options.GracePeriodSeconds = new(int64)
		deletes = append(deletes, func() error { return k.deletePod(ctx, &pods[i], options) })
	}
	return both(deletes...)
}

func (k *kube) deleteNode(ctx context.Context, name string) error {
	err := k.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete node %s: %w", name, err)
	}
	return nil
}

func (k *kube) podsOf(ctx context.Context, node string) ([]corev1.Pod, error) {
	list, err := k.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("spec.nodeName", node).String()})
	if err != nil {
		return nil, fmt.Errorf("list pods of node %s: %w", node, err)
	}
	return list.Items, nil
}

func (k *kube) nodeNames(ctx context.Context) ([]string, error) {
	list, err := k.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	var names []string
	for _, n := range list.Items {
		names = append(names, n.Name)
	}
	return names, nil
}

// readmit takes back that a node was to leave: the cluster was made larger
// again before it was gone.
func (k *kube) readmit(ctx context.Context, node string) error { return k.taint(ctx, node, false) }

// taint keeps new pods from a node that leaves, or lets them come again. A
// node that does not exist has no pods to be kept from it.
func (k *kube) taint(ctx context.Context, name string, leaves bool) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		node, err := k.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		is := func(t corev1.Taint) bool { return t.Key == leaving }
		if slices.ContainsFunc(node.Spec.Taints, is) == leaves {
			return nil
		}
		node.Spec.Taints = slices.DeleteFunc(node.Spec.Taints, is)
		if leaves {
			node.Spec.Taints = append(node.Spec.Taints, corev1.Taint{Key: leaving, Effect: corev1.TaintEffectNoSchedule})
		}
		_, err = k.client.CoreV1().Nodes().Update(ctx, node, metav1.UpdateOptions{})
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("taint node %s: %w", name, err)
	}
	return nil
}

// deletePods deletes the container groups that are left of a node's pods.
func (s *subject) deletePods(ctx context.Context, node string) error {
	groups, err := s.cloud.ListGroups(ctx, podsGroup(s.name()))
	if err != nil {
		return err
	}
	var deletes []func() error
	for _, g := range groups {
		if deref(g.Tags[nodeTag]) == node {
			deletes = append(deletes, func() error { return s.cloud.DeleteGroup(ctx, podsGroup(s.name()), *g.Name) })
		}
	}
	return both(deletes...)
}
