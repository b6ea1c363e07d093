package cluster

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	watchtools "k8s.io/client-go/tools/watch"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"frankenetes.dev/pki"
)

// The leases by which controllers elect their leader.
const (
	controllerManagerLease = "kube-controller-manager"
	schedulerLease         = "kube-scheduler"
)

// kube is the cluster's own API, as its founder.
type kube struct {
	client kubernetes.Interface
}

// kube connects to the API server with a certificate of an hour; the
// API server need not run yet.
func (s *subject) kube() (*kube, error) {
	pair, err := s.signer.cluster.Issue(pki.Leaf{
		CommonName: "frankenetes:founder", Organizations: []string{"system:masters"},
		Client: true, Lifetime: time.Hour})
	if err != nil {
		return nil, err
	}
	config := s.signer.config("founder", "founder", s.userURL(), s.signer.fqdn(APIServer), pair)
	rest, err := clientcmd.NewDefaultClientConfig(*config, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("connect to API server of %s: %w", s.name(), err)
	}
	rest.QPS, rest.Burst = 50, 100
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return nil, fmt.Errorf("connect to API server of %s: %w", s.name(), err)
	}
	return &kube{client: client}, nil
}

// awaitReady waits until the API server says that it is ready.
func (k *kube) awaitReady(ctx context.Context) error {
	return pollUpTo(ctx, pollEvery, func() (bool, error) { return k.ready(ctx), nil })
}

// readyTimeout bounds one question: an API server on its way up may accept a
// connection and not answer.
const readyTimeout = 2 * time.Second

func (k *kube) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return k.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil
}

// awaitLease waits until somebody has held a lease since then.
func (k *kube) awaitLease(ctx context.Context, name string, since time.Time) error {
	leases := k.client.CoordinationV1().Leases(metav1.NamespaceSystem)
	return k.await(ctx, "lease "+name, &coordinationv1.Lease{}, listWatch(name, leases.List, leases.Watch),
		func(o runtime.Object) bool {
			spec := o.(*coordinationv1.Lease).Spec
			return spec.RenewTime != nil && spec.RenewTime.After(since) && deref(spec.HolderIdentity) != ""
		})
}

// awaitServiceAccount waits until pods can be created: the controller manager
// has made the default service account.
func (k *kube) awaitServiceAccount(ctx context.Context) error {
	accounts := k.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault)
	return k.await(ctx, "service account default", &corev1.ServiceAccount{}, listWatch("default", accounts.List, accounts.Watch),
		func(runtime.Object) bool { return true })
}

// awaitNode waits until a node has said since then that it is Ready.
func (k *kube) awaitNode(ctx context.Context, name string, since time.Time) error {
	nodes := k.client.CoreV1().Nodes()
	return k.await(ctx, "node "+name, &corev1.Node{}, listWatch(name, nodes.List, nodes.Watch),
		func(o runtime.Object) bool {
			ready := nodeReady(o.(*corev1.Node))
			// A heartbeat has whole seconds.
			return ready != nil && ready.Status == corev1.ConditionTrue && !ready.LastHeartbeatTime.Time.Before(since.Truncate(time.Second))
		})
}

// nodeReady returns a node's condition Ready, nil if it has none.
func nodeReady(n *corev1.Node) *corev1.NodeCondition {
	for i := range n.Status.Conditions {
		if c := &n.Status.Conditions[i]; c.Type == corev1.NodeReady {
			return c
		}
	}
	return nil
}

// await watches until an object satisfies done.
func (k *kube) await(ctx context.Context, what string, kind runtime.Object, lw cache.ListerWatcher, done func(runtime.Object) bool) error {
	_, err := watchtools.UntilWithSync(ctx, lw, kind, nil, func(e watch.Event) (bool, error) {
		return e.Type != watch.Deleted && done(e.Object), nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", what, err)
	}
	return nil
}

// listWatch follows the one object with the given name.
func listWatch[L runtime.Object](name string,
	list func(context.Context, metav1.ListOptions) (L, error),
	watchFn func(context.Context, metav1.ListOptions) (watch.Interface, error),
) cache.ListerWatcher {
	selector := fields.OneTermEqualSelector("metadata.name", name).String()
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			return list(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			return watchFn(ctx, o)
		},
	}
}

// releaseLeases frees the leases of controllers that are gone, so that the
// next ones need not wait for them to run out.
func (k *kube) releaseLeases(ctx context.Context) error {
	leases := k.client.CoordinationV1().Leases(metav1.NamespaceSystem)
	for _, name := range []string{controllerManagerLease, schedulerLease} {
		lease, err := leases.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("get lease %s: %w", name, err)
		}
		lease.Spec.HolderIdentity = nil
		if _, err := leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
			return fmt.Errorf("release lease %s: %w", name, err)
		}
	}
	return nil
}
