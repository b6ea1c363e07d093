package cluster

import (
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	kubetesting "k8s.io/client-go/testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
)

// podOn is a pod of a node; owner is the kind of its controller, if it has one.
func podOn(node, name, owner string, phase corev1.PodPhase) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)},
		Spec:       corev1.PodSpec{NodeName: node}, Status: corev1.PodStatus{Phase: phase},
	}
	if owner != "" {
		p.OwnerReferences = []metav1.OwnerReference{{Kind: owner, Controller: new(bool)}}
		*p.OwnerReferences[0].Controller = true
	}
	return p
}

// fakeKube is an API in which evict decides on evictions, and does, as the
// fake client does not, look at field selectors.
func fakeKube(evict func(pod string) error, objects ...runtime.Object) (*kube, *fake.Clientset) {
	client := fake.NewClientset(objects...)
	client.PrependReactor("list", "pods", func(a kubetesting.Action) (bool, runtime.Object, error) {
		node, _ := a.(kubetesting.ListAction).GetListRestrictions().Fields.RequiresExactMatch("spec.nodeName")
		all, err := client.Tracker().List(a.GetResource(), corev1.SchemeGroupVersion.WithKind("Pod"), "")
		if err != nil {
			return true, nil, err
		}
		list := all.(*corev1.PodList)
		list.Items = slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return node != "" && p.Spec.NodeName != node })
		return true, list, nil
	})
	client.PrependReactor("create", "pods", func(a kubetesting.Action) (bool, runtime.Object, error) {
		if a.GetSubresource() != "eviction" {
			return false, nil, nil
		}
		e := a.(kubetesting.CreateAction).GetObject().(*policyv1.Eviction)
		if err := evict(e.Name); err != nil {
			return true, nil, err
		}
		return true, nil, client.Tracker().Delete(a.GetResource(), e.Namespace, e.Name)
	})
	return &kube{client: client}, client
}

// done are the changes that an API was asked for, in order.
func done(client *fake.Clientset) []string {
	var all []string
	for _, a := range client.Actions() {
		what := a.GetVerb() + " " + a.GetResource().Resource
		switch a := a.(type) {
		case kubetesting.CreateAction:
			if e, ok := a.GetObject().(*policyv1.Eviction); ok {
				what = "evict " + e.Name
			}
		case kubetesting.DeleteAction:
			what += " " + a.GetName()
		case kubetesting.ListAction, kubetesting.GetAction:
			continue
		}
		all = append(all, what)
	}
	return all
}

func TestANodeThatLeavesHasItsPodsEvicted(t *testing.T) {
	k, client := fakeKube(func(string) error { return nil },
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "virtual-kubelet"}}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "virtual-kubelet-2"}},
		podOn("virtual-kubelet", "stays", "ReplicaSet", corev1.PodRunning),
		podOn("virtual-kubelet-2", "goes", "ReplicaSet", corev1.PodRunning),
		podOn("virtual-kubelet-2", "everywhere", "DaemonSet", corev1.PodRunning),
		podOn("virtual-kubelet-2", "over", "Job", corev1.PodSucceeded))
	if err := k.drain(t.Context(), "virtual-kubelet-2"); err != nil {
		t.Fatal(err)
	}
	// A DaemonSet's pod would be made anew as long as there is the node.
	want := []string{"update nodes", "evict goes", "delete nodes virtual-kubelet-2", "delete pods everywhere"}
	if got := done(client); !slices.Equal(got, want) {
		t.Errorf("it did %q, want %q", got, want)
	}
	client.ClearActions()
	if err := k.forget(t.Context(), "virtual-kubelet-2"); err != nil {
		t.Fatal(err)
	}
	if got := done(client); !slices.Equal(got, []string{"delete nodes virtual-kubelet-2", "delete pods over"}) {
		t.Errorf("to forget it, it did %q", got)
	}
	pods, err := k.podsOf(t.Context(), "virtual-kubelet")
	if err != nil || len(pods) != 1 {
		t.Errorf("the other node has %d pods, %v", len(pods), err)
	}
}

func TestABudgetHoldsUpANodeOnlyForSoLong(t *testing.T) {
	asked := 0
	k, client := fakeKube(func(string) error {
		asked++
		return apierrors.NewTooManyRequests("the budget is spent", 0)
	}, podOn("virtual-kubelet-2", "needed", "ReplicaSet", corev1.PodRunning))
	if err := k.whilePods(t.Context(), "virtual-kubelet-2", 4*pollEvery, k.evict); err != nil {
		t.Fatal(err)
	}
	if asked < 2 {
		t.Errorf("it asked %d times", asked)
	}
	if err := k.whilePods(t.Context(), "virtual-kubelet-2", time.Minute, k.end); err != nil {
		t.Fatal(err)
	}
	if got := done(client); got[len(got)-1] != "delete pods needed" {
		t.Errorf("it did %q", got)
	}
}

func TestANodeThatWasToLeaveIsTakenBackAsItWas(t *testing.T) {
	own := corev1.Taint{Key: "gpu", Effect: corev1.TaintEffectNoSchedule}
	k, client := fakeKube(nil, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{Taints: []corev1.Taint{own}, Unschedulable: true}})
	for _, leaves := range []bool{true, true, false, false} {
		if err := k.taint(t.Context(), "n", leaves); err != nil {
			t.Fatal(err)
		}
	}
	if got := done(client); len(got) != 2 {
		t.Errorf("it did %q", got)
	}
	node, err := client.CoreV1().Nodes().Get(t.Context(), "n", metav1.GetOptions{})
	if err != nil || !node.Spec.Unschedulable || len(node.Spec.Taints) != 1 || node.Spec.Taints[0] != own {
		t.Errorf("it is %+v, %v", node.Spec, err)
	}
	if err := k.readmit(t.Context(), "no-such-node"); err != nil {
		t.Error(err)
	}
}
