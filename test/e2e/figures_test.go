package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"frankenetes.dev/test/machine"
)

// podFigures is how much is measured: enough to be worth reading with `make
// figures`, and otherwise just enough to know that it still works.
type podFigures struct{ inARow, atOnce, many, nodes int }

// TestFigures measures how pods start, and what they cost in memory. It asserts
// nothing about times, which are the machine's as much as the node's.
func TestFigures(t *testing.T) {
	f := podFigures{inARow: 2, atOnce: 3, many: 4, nodes: 1}
	if machine.InEarnest() {
		f = podFigures{inARow: 10, atOnce: 20, many: 100, nodes: 4}
	}
	m := newOperator(t)
	table := machine.NewFigures(t, "Pods of a cluster on the embedded cloud")
	m.Run("cloud", "start")
	table.Add("`up`: a new cluster, one node Ready", machine.Took(func() { m.Run("up") }))
	b := newBench(m)
	b.start(1) // whatever is done only once
	b.clear()

	from := b.stages()
	var each []time.Duration
	for range f.inARow {
		each = append(each, b.start(1)...)
		b.clear()
	}
	table.Add("pod created to Ready, one after another", machine.Spread(each))
	b.addStages(table, from, f.inARow)

	before := m.Memory()
	from = b.stages()
	took := machine.Took(func() { each = b.start(f.atOnce) })
	table.Add(fmt.Sprintf("pod created to Ready, %d at once", f.atOnce), fmt.Sprintf("%s; all after %v", machine.Spread(each), took))
	b.addStages(table, from, f.atOnce)
	addGrowth(table, before, m.Memory(), f.atOnce)
	b.clear()

	m.Run("up", "--nodes", strconv.Itoa(f.nodes))
	from = b.stages()
	took = machine.Took(func() { each = b.start(f.many) })
	table.Add(fmt.Sprintf("pod created to Ready, %d at once on %d nodes", f.many, f.nodes), fmt.Sprintf("%s; all after %v", machine.Spread(each), took))
	b.addStages(table, from, f.many)
	table.Add(fmt.Sprintf("%d pods deleted, all groups gone", f.many), machine.Took(b.clear))
}

// addGrowth tells what programs use more of for each pod that there is.
func addGrowth(table *machine.Figures, before, after map[string]int64, pods int) {
	growth := func(program string) int64 { return (after[program] - before[program]) / int64(pods) }
	programs := slices.SortedFunc(maps.Keys(after), func(a, b string) int { return cmp.Compare(growth(b), growth(a)) })
	var all int64
	var parts []string
	for _, p := range programs {
		all += growth(p)
		if grown := growth(p); grown > 50_000 {
			parts = append(parts, p+" "+machine.Megabytes(grown))
		}
	}
	table.Add(fmt.Sprintf("memory for each of %d pods", pods), machine.Megabytes(all)+": "+strings.Join(parts, ", "))
}

// bench starts pods, in a namespace of its own, and knows when they are ready.
type bench struct {
	m    *operator
	kube kubernetes.Interface
	made int
}

// figuresNamespace has no limits: its pods are the least that there can be.
const figuresNamespace = "figures"

func newBench(m *operator) *bench {
	m.T.Helper()
	path := ""
	for _, variable := range m.Env {
		if value, ok := strings.CutPrefix(variable, "KUBECONFIG="); ok {
			path = value
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		m.T.Fatal(err)
	}
	config.QPS = -1
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		m.T.Fatal(err)
	}
	m.kubectl("create", "namespace", figuresNamespace)
	m.eventually("the namespace's account", func() error {
		return m.answered("get", "serviceaccount", "default", "-n", figuresNamespace)
	})
	return &bench{m: m, kube: kube}
}

// start makes pods, all at once, and returns how long each took to be ready.
func (b *bench) start(n int) []time.Duration {
	b.m.T.Helper()
	ctx, cancel := context.WithTimeout(b.m.T.Context(), patience)
	defer cancel()
	b.made++
	run := strconv.Itoa(b.made)
	seen := b.watch(ctx, run)
	created := make([]time.Time, n)
	var work errgroup.Group
	for i := range n {
		work.Go(func() error {
			created[i] = time.Now()
			_, err := b.kube.CoreV1().Pods(figuresNamespace).Create(ctx, smallPod(run, i), metav1.CreateOptions{})
			return err
		})
	}
	ready := b.awaitReady(ctx, seen, run, n)
	if err := work.Wait(); err != nil {
		b.m.T.Fatal(err)
	}
	took := make([]time.Duration, n)
	for i := range n {
		took[i] = ready[podName(run, i)].Sub(created[i])
	}
	return took
}

// watch begins with the pods of a run that there are, and goes on with what
// happens to them.
func (b *bench) watch(ctx context.Context, run string) watch.Interface {
	b.m.T.Helper()
	seen, err := b.kube.CoreV1().Pods(figuresNamespace).Watch(ctx, metav1.ListOptions{LabelSelector: "run=" + run})
	if err != nil {
		b.m.T.Fatal(err)
	}
	return seen
}

// awaitReady returns when each of n pods was seen to be ready. The API server
// may end a watch at any time; then it takes another.
func (b *bench) awaitReady(ctx context.Context, seen watch.Interface, run string, n int) map[string]time.Time {
	b.m.T.Helper()
	defer func() { seen.Stop() }()
	ready := map[string]time.Time{}
	for len(ready) < n {
		select {
		case event, ok := <-seen.ResultChan():
			if !ok {
				b.m.T.Logf("a watch of pods has ended with %d of %d ready", len(ready), n)
				seen = b.watch(ctx, run)
				continue
			}
			pod, isPod := event.Object.(*corev1.Pod)
			if !isPod {
				b.m.T.Fatalf("watch pods: %+v", event.Object)
			}
			if _, known := ready[pod.Name]; !known && isReady(pod) {
				ready[pod.Name] = time.Now()
			}
		case <-ctx.Done():
			b.m.T.Fatalf("%d of %d pods are ready\n%s", len(ready), n, b.m.describe())
		}
	}
	return ready
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func podName(run string, i int) string { return fmt.Sprintf("pod-%s-%d", run, i) }

// smallPod does nothing, with a token as every pod has.
func smallPod(run string, i int) *corev1.Pod {
	second := int64(1)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: podName(run, i), Labels: map[string]string{"run": run}},
		Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &second,
			Containers: []corev1.Container{{Name: "main", Image: "frankenetes.internal/pause:1"}}},
	}
}

// clear removes all pods and returns when they and their groups are gone.
func (b *bench) clear() {
	b.m.T.Helper()
	pods := b.kube.CoreV1().Pods(figuresNamespace)
	if err := pods.DeleteCollection(b.m.T.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		b.m.T.Fatal(err)
	}
	b.m.eventually("no pod is left", func() error {
		left, err := pods.List(b.m.T.Context(), metav1.ListOptions{})
		if err != nil || len(left.Items) > 0 {
			return fmt.Errorf("there are some, %v", err)
		}
		return expect(strings.Join(b.m.podGroups(), " "), "")
	})
}

// stage is what the nodes have measured of one of the stages of pods' starts.
type stage struct{ seconds, count float64 }

// stageNames are the stages, in order.
func stageNames() []string {
	return []string{"images", "cloud", "agent", "kubelet", "files", "process", "ready"}
}

func (b *bench) stages() map[string]stage {
	b.m.T.Helper()
	const metric = "frankenetes_pod_start_stage_duration_seconds"
	all := map[string]stage{}
	for node := range strings.FieldsSeq(b.m.kubectl("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}")) {
		page := b.m.kubectl("get", "--raw", "/api/v1/nodes/"+node+"/proxy/metrics")
		// Until a pod has come to its end, there are no series of a stage.
		for _, name := range stageNames() {
			s := all[name]
			s.seconds += max(0, series(page, metric+`_sum{stage="`+name+`"}`))
			s.count += max(0, series(page, metric+`_count{stage="`+name+`"}`))
			all[name] = s
		}
	}
	return all
}

// addStages tells how long the stages of so many starts took, on average.
func (b *bench) addStages(table *machine.Figures, from map[string]stage, pods int) {
	b.m.T.Helper()
	b.m.eventually("the nodes have measured all stages", func() error {
		for name, now := range b.stages() {
			if n := now.count - from[name].count; n != float64(pods) {
				return fmt.Errorf("%g pods have come to the end of stage %s, %d have started", n, name, pods)
			}
		}
		return nil
	})
	now := b.stages()
	var parts []string
	for _, name := range stageNames() {
		mean := (now[name].seconds - from[name].seconds) / float64(pods)
		parts = append(parts, fmt.Sprintf("%s %.0f ms", name, 1000*mean))
	}
	table.Add("stages of these, on average", strings.Join(parts, ", "))
}
