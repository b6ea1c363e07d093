package registration

import (
	"context"
	"errors"
	"log/slog"
	goruntime "runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// starting is an API server that refuses the first requests.
func starting(refusals int, objects ...runtime.Object) *fake.Clientset {
	kube := fake.NewClientset(objects...)
	kube.PrependReactor("create", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
		refusals--
		return refusals >= 0, nil, errors.New("not yet ready to handle request")
	})
	return kube
}

func TestANodeIsRegisteredAsSoonAsTheServerServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		labels := map[string]string{"type": "virtual-kubelet"}
		kube := starting(20)
		if err := Register(t.Context(), kube, "vk", labels, slog.New(slog.NewTextHandler(&said, nil))); err != nil {
			t.Fatal(err)
		}
		node, err := kube.CoreV1().Nodes().Get(t.Context(), "vk", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"type": "virtual-kubelet", "kubernetes.io/os": goruntime.GOOS, "kubernetes.io/arch": goruntime.GOARCH}
		if diff := cmp.Diff(want, node.Labels); diff != "" {
			t.Errorf("its labels differ (-want +got):\n%s", diff)
		}
		if c := node.Status.Conditions; len(c) != 1 || c[0].Type != v1.NodeReady || c[0].Status != v1.ConditionFalse {
			t.Errorf("its conditions are %v, want that it is not ready", c)
		}
		if lines := strings.Count(said.String(), "\n"); lines != 1 {
			t.Errorf("the same reason was told %d times", lines)
		}
	})
}

func TestANodeThatIsKnownStaysAsItIs(t *testing.T) {
	known := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "vk", Labels: map[string]string{"mine": "yes"}}}
	kube := starting(0, known)
	if err := Register(t.Context(), kube, "vk", map[string]string{"other": "x"}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	node, err := kube.CoreV1().Nodes().Get(t.Context(), "vk", metav1.GetOptions{})
	if err != nil || node.Labels["mine"] != "yes" || len(node.Labels) != 1 {
		t.Errorf("it has become %v, %v", node, err)
	}
}

func TestRegistrationEndsWithTheNode(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := Register(ctx, starting(1), "vk", nil, slog.New(slog.DiscardHandler))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestALabelIsSetBesideTheOthers(t *testing.T) {
	kube := fake.NewClientset(&v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "vk", Labels: map[string]string{"a": "1", "b": "1"}}})
	if err := Label(t.Context(), kube, "vk", "b", "2"); err != nil {
		t.Fatal(err)
	}
	node, err := kube.CoreV1().Nodes().Get(t.Context(), "vk", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "2"}, node.Labels); diff != "" {
		t.Errorf("its labels differ (-want +got):\n%s", diff)
	}
	if err := Label(t.Context(), kube, "nobody", "b", "2"); err == nil || !strings.Contains(err.Error(), "label node nobody") {
		t.Errorf("a node that is not there: %v", err)
	}
}
