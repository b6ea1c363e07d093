package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"frankenetes.dev/cloud"
	"frankenetes.dev/cluster/sleep"
	"frankenetes.dev/fault"
)

// Sleep says when a cluster pauses itself.
type Sleep struct {
	// After is the time without use; it never does where this is 0.
	After metav1.Duration `json:"after"`
	// WithPods says that pods that run do not keep it awake.
	WithPods bool `json:"withPods,omitempty"`
}

// shortestSleep leaves time to use a cluster before it sleeps again.
const shortestSleep = 10 * time.Second

// CheckSleep tells whether a cluster can pause itself so.
func CheckSleep(s Sleep) error {
	if s.After.Duration != 0 && s.After.Duration < shortestSleep {
		return fault.New(fault.Usage, "use ten seconds or more, such as 15m, or 0 for never", "a cluster cannot pause itself after %s", s.After.Duration)
	}
	return nil
}

// sleepFile is the note on the cluster's share of when it goes to sleep.
const sleepFile = "sleep.json"

// Sleeper returns what puts a cluster to sleep, from inside etcd's container
// group. endEtcd ends etcd and returns when it has ended; soon after, the group
// is deleted, and the program with it.
func (o *Operator) Sleeper(ctx context.Context, name string, endEtcd func(context.Context) error, log *slog.Logger) (sleep.Watch, error) {
	s, err := o.open(ctx, name)
	if err != nil {
		return sleep.Watch{}, err
	}
	kube, err := s.kube()
	if err != nil {
		return sleep.Watch{}, err
	}
	share, err := s.storage.open(o.cloud, recordShare)
	if err != nil {
		return sleep.Watch{}, err
	}
	note, err := readNote(ctx, share)
	return sleep.Watch{
		After: s.record.Spec.Sleep.After.Duration,
		// A pause that was begun, by a program that ended on the way.
		Begun: note != nil && note.Falling,
		Look:  func(ctx context.Context) (sleep.Use, error) { return kube.use(ctx, !s.record.Spec.Sleep.WithPods) },
		Tell: func(ctx context.Context, n sleep.Note) error {
			data, err := json.Marshal(n)
			if err != nil {
				return fmt.Errorf("encode note of sleep: %w", err)
			}
			return share.Write(ctx, sleepFile, data)
		},
		Pause: func(ctx context.Context) error { return s.pauseFromInside(ctx, endEtcd) },
		Log:   log,
	}, err
}

// pauseFromInside is a pause whose last step ends who does it: what comes after
// etcd when somebody else pauses the cluster comes before it.
func (s *subject) pauseFromInside(ctx context.Context, endEtcd func(context.Context) error) error {
	steps := s.pauseSteps()
	last := []string{"API server", "Pods"}
	if s.subnet != "" {
		steps = append(steps, Step{Name: "Network", Needs: last, Run: s.stopNetwork})
		last = []string{"Network"}
	}
	steps = append(steps, Step{Name: "etcd", Needs: last, Run: func(ctx context.Context) (string, error) {
		if err := endEtcd(ctx); err != nil {
			return "", fmt.Errorf("end etcd: %w", err)
		}
		return "deleted", s.cloud.DeleteGroup(ctx, s.name(), Etcd)
	}})
	return run(ctx, steps, s.progress)
}

// readNote reads when a cluster goes to sleep; nil when nobody has said so.
func readNote(ctx context.Context, share *cloud.Share) (*sleep.Note, error) {
	data, err := share.Read(ctx, sleepFile)
	if err != nil || data == nil {
		return nil, err
	}
	var n sleep.Note
	if err := json.Unmarshal(data, &n); err != nil {
		return nil, fmt.Errorf("read note of sleep: %w", err)
	}
	return &n, nil
}

// sleepNote reads when the cluster goes to sleep; nil if it never does, or
// nobody has said so yet.
func (s *subject) sleepNote(ctx context.Context) (*sleep.Note, error) {
	if s.record.Spec.Sleep.After.Duration == 0 {
		return nil, nil
	}
	share, err := s.storage.open(s.cloud, recordShare)
	if err != nil {
		return nil, err
	}
	return readNote(ctx, share)
}

// fallTime is how long a cluster may take to fall asleep.
const fallTime = 2 * time.Minute

// awaitAsleep waits for a cluster that is falling asleep, so that nothing of it
// is taken away again that is started now, and forgets what was noted of it.
func (s *subject) awaitAsleep(ctx context.Context) error {
	share, err := s.storage.open(s.cloud, recordShare)
	if err != nil {
		return err
	}
	note, err := readNote(ctx, share)
	if err != nil || note == nil {
		return err
	}
	if note.Falling {
		end := note.At.Add(fallTime)
		err := poll(ctx, func() (bool, error) {
			g, err := s.cloud.GetGroup(ctx, s.name(), Etcd)
			return g == nil || !stands(g) || time.Now().After(end), err
		})
		if err != nil {
			return fmt.Errorf("wait until cluster %s is asleep: %w", s.name(), err)
		}
	}
	return share.Remove(ctx, sleepFile)
}

// use asks the API server what use there is of the cluster. Pods of users count
// if they are to.
func (k *kube) use(ctx context.Context, pods bool) (sleep.Use, error) {
	ctx, cancel := context.WithTimeout(ctx, useTime)
	defer cancel()
	page, err := k.client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return sleep.Use{}, fmt.Errorf("ask the API server for its use: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return sleep.Use{}, fmt.Errorf("read the API server's metrics: %w", err)
	}
	use := sleep.Use{
		Requests: sum(families["apiserver_flowcontrol_dispatched_requests_total"], "flow_schema", userFlow),
		Sessions: sum(families["apiserver_longrunning_requests"], "verb", "CONNECT"),
	}
	if !pods {
		return use, nil
	}
	found, err := k.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
		Limit:         1,
		FieldSelector: "status.phase!=Succeeded,status.phase!=Failed,metadata.namespace!=" + metav1.NamespaceSystem,
	})
	if err != nil {
		return use, fmt.Errorf("ask for pods: %w", err)
	}
	use.Pods = len(found.Items)
	return use, nil
}

// useTime bounds one question.
const useTime = 20 * time.Second

// sum adds up the series of a metric that have a label.
func sum(family *dto.MetricFamily, label, value string) float64 {
	total := 0.0
	for _, m := range family.GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == label && l.GetValue() == value {
				total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return total
}
