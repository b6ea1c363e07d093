// Package registration makes a node known to the API server. It is apart from
// the kubelet, which would do so by itself, because the kubelet is not good at
// waiting: one that starts before the API server serves it says ten times a
// second that its node is not registered, and asks again for what it did not get
// only after pauses of up to seconds.
package registration

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

const (
	// pause is the time between two attempts, attempt the most that one may
	// take. An API server that is about to serve lets requests wait.
	pause   = 50 * time.Millisecond
	attempt = 15 * time.Second
)

// Register makes a Node object, unless there is one, however long it takes
// until the API server can. It is not ready: its size and state are the
// kubelet's to tell, which looks for that condition first of all.
func Register(ctx context.Context, kube kubernetes.Interface, name string, labels map[string]string, log *slog.Logger) error {
	told := ""
	for {
		err := create(ctx, kube, name, labels)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("register node %s: %w", name, context.Cause(ctx))
		}
		if why := err.Error(); why != told {
			log.Info("the API server does not register this node yet", "node", name, "error", err)
			told = why
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func create(ctx context.Context, kube kubernetes.Interface, name string, labels map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	_, err := kube.CoreV1().Nodes().Create(ctx, unready(name, labels), metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// unready is a node whose kubelet is about to start.
func unready(name string, labels map[string]string) *v1.Node {
	all := map[string]string{v1.LabelOSStable: runtime.GOOS, v1.LabelArchStable: runtime.GOARCH}
	maps.Copy(all, labels)
	now := metav1.Now()
	return &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: all},
		Status: v1.NodeStatus{Conditions: []v1.NodeCondition{{
			Type: v1.NodeReady, Status: v1.ConditionFalse, LastHeartbeatTime: now, LastTransitionTime: now,
			Reason: "KubeletNotReady", Message: "the kubelet is about to start",
		}}},
	}
}

// Label sets a label of a node.
func Label(ctx context.Context, kube kubernetes.Interface, name, label, value string) error {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]string{label: value}}})
	if err == nil {
		_, err = kube.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		return fmt.Errorf("label node %s: %w", name, err)
	}
	return nil
}
