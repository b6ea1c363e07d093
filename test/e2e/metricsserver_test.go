package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"frankenetes.dev/images"
)

// metricsServer is the image that upstream's manifest names.
const metricsServer = "registry.k8s.io/metrics-server/metrics-server:v0.9.0"

// TestMetricsServer installs the real metrics-server by its own manifest, as
// docs/metrics.md tells users to, asks it by `kubectl top`, and has a
// HorizontalPodAutoscaler follow what it says.
func TestMetricsServer(t *testing.T) {
	m := newOperator(t)
	m.Run("up")
	m.part("install", installMetricsServer)
	m.apply("autoscaled.yaml")
	m.part("kubectl top", testTop)
	m.part("a Deployment grows with its load", testAutoscaling)
	m.Run("down", "--yes")
}

func installMetricsServer(m *operator) {
	built := filepath.Join(m.Bin, "test", "metrics-server")
	layout := filepath.Join(m.T.TempDir(), "images")
	err := images.Write(layout, []images.Image{{Ref: metricsServer, Entrypoint: []string{"/metrics-server"},
		Entries: append(images.Base(), images.Entry{Path: "metrics-server", Source: filepath.Join(built, "metrics-server"), Mode: 0o755})}})
	if err != nil {
		m.T.Fatal(err)
	}
	m.Run("image", "load", layout)
	m.kubectl("apply", "-k", filepath.Join(built, "manifests", "overlays", "release"))
	m.kubectl("rollout", "status", "-n", "kube-system", "deployment/metrics-server", "--timeout", patience.String())
	m.kubectl("wait", "apiservice/v1beta1.metrics.k8s.io", "--for=condition=Available", "--timeout", patience.String())
}

// usages are the lines of `kubectl top`: by name, the amounts in their order.
func (m *operator) usages(what string) (map[string][]resource.Quantity, error) {
	m.T.Helper()
	out, code := m.Try("kubectl", "top", what, "--no-headers")
	if code != 0 {
		return nil, fmt.Errorf("kubectl top %s: %s", what, out) // there may be no figures yet
	}
	all := map[string][]resource.Quantity{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		for _, amount := range fields[1:] {
			if strings.HasSuffix(amount, "%") {
				continue
			}
			q, err := resource.ParseQuantity(amount)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			all[fields[0]] = append(all[fields[0]], q)
		}
	}
	return all, nil
}

func testTop(m *operator) {
	m.kubectl("rollout", "status", "deployment/autoscaled", "--timeout", patience.String())
	pod := m.kubectl("get", "pods", "-l", "app=autoscaled", "-o", "jsonpath={.items[0].metadata.name}")
	m.eventually("what the idle pod uses", func() error {
		pods, err := m.usages("pods")
		if err != nil {
			return err
		}
		// It sleeps; its agent is with it.
		return between(pods[pod], "0", "100m", "500Ki", "100Mi")
	})
	m.eventually("what the node uses", func() error {
		nodes, err := m.usages("nodes")
		if err != nil {
			return err
		}
		return between(nodes["virtual-kubelet"], "1m", "4", "10Mi", "1Gi")
	})
}

// between expects CPU time and memory to be so much.
func between(amounts []resource.Quantity, leastCPU, mostCPU, leastMemory, mostMemory string) error {
	if len(amounts) != 2 {
		return fmt.Errorf("there are %d amounts", len(amounts))
	}
	for i, limits := range [][2]string{{leastCPU, mostCPU}, {leastMemory, mostMemory}} {
		if amounts[i].Cmp(resource.MustParse(limits[0])) < 0 || amounts[i].Cmp(resource.MustParse(limits[1])) > 0 {
			return fmt.Errorf("%s is not between %s and %s", &amounts[i], limits[0], limits[1])
		}
	}
	return nil
}

func testAutoscaling(m *operator) {
	const current = "jsonpath={.status.currentReplicas} {.status.currentMetrics[0].resource.current.averageUtilization}"
	state := func() (replicas, utilization int) {
		_, _ = fmt.Sscan(m.kubectl("get", "hpa", "autoscaled", "-o", current), &replicas, &utilization)
		return replicas, utilization
	}
	m.eventually("the autoscaler has figures", func() error {
		if replicas, utilization := state(); replicas != 1 || utilization < 0 || utilization >= 50 || !m.knows("autoscaled") {
			return fmt.Errorf("%d replicas are used to %d %%", replicas, utilization)
		}
		return nil
	})
	m.kubectl("exec", "deploy/autoscaled", "--", "touch", "/tmp/work")
	m.eventually("two replicas", func() error {
		if replicas, utilization := state(); replicas != 2 {
			return fmt.Errorf("%d replicas are used to %d %%", replicas, utilization)
		}
		return nil
	})
	m.kubectl("rollout", "status", "deployment/autoscaled", "--timeout", patience.String())
	pods, err := m.usages("pods")
	if err != nil {
		m.T.Fatal(err)
	}
	var most resource.Quantity
	for _, amounts := range pods {
		if amounts[0].Cmp(most) > 0 {
			most = amounts[0]
		}
	}
	if most.Cmp(resource.MustParse("50m")) < 0 {
		m.T.Errorf("the busiest pod uses %s", &most)
	}
}

// knows reports whether an autoscaler has figures to work with.
func (m *operator) knows(autoscaler string) bool {
	m.T.Helper()
	return m.kubectl("get", "hpa", autoscaler, "-o", `jsonpath={.status.conditions[?(@.type=="ScalingActive")].status}`) == "True"
}
