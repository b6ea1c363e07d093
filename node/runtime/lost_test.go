package runtime

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	remote "k8s.io/cri-client/pkg"

	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/node/images"
)

// callers are the agents that are connected.
type callers map[string]bool

func (callers) Issue(protocol.ID) (string, error) { return "", errors.New("no tokens here") }

func (callers) Await(context.Context, protocol.ID) (*protocol.Client, error) {
	return nil, errors.New("nobody comes")
}

func (c callers) Connected(id protocol.ID) (*protocol.Client, bool) { return nil, c[id.Container] }

func (callers) Forget(string) {}

// silent are agents that never call.
type silent struct{ callers }

func (silent) Await(ctx context.Context, _ protocol.ID) (*protocol.Client, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// pending is a runtime with one sandbox and its container, neither of which has
// an agent.
func pending(state runtimeapi.ContainerState) (*Runtime, *sandbox) {
	r := &Runtime{opts: Options{Agents: silent{}}, nudge: make(chan struct{}, 1), life: context.Background()}
	sb := r.newSandbox("default", "web", "uid")
	sb.group = "g"
	config := &runtimeapi.ContainerConfig{Metadata: &runtimeapi.ContainerMetadata{Name: "web"}, Command: []string{"run"}}
	c := &container{id: "id", sandbox: sb, config: config, state: state}
	r.containers = map[string]*container{c.id: c}
	return r, sb
}

func TestAnAgentThatNeverCallsIsMissed(t *testing.T) {
	r, sb := pending(runtimeapi.ContainerState_CONTAINER_CREATED)
	c := r.containers["id"]
	c.log = newLogCopy(filepath.Join(t.TempDir(), "log"))
	c.ended = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := r.StartContainer(ctx, "id"); err == nil {
		t.Fatal("a container without an agent has started")
	}
	r.opts.Agents = callers{protocol.PodAgent: true}
	if why := r.lost(sb, true, time.Now().Add(containerLost+time.Second)); why == "" {
		t.Error("its group is not given up")
	}
	select {
	case <-r.nudge:
	default:
		t.Error("nobody looks whether it comes")
	}
}

func TestACommandHasNotTimedOutIfTheAgentIsAway(t *testing.T) {
	r, _ := pending(runtimeapi.ContainerState_CONTAINER_RUNNING)
	_, _, err := r.ExecSync(context.Background(), "id", []string{"probe"}, time.Millisecond)
	if err == nil || errors.Is(err, remote.ErrCommandTimedOut) {
		t.Errorf("ExecSync = %v, want an error that is no time-out of the command", err)
	}
}

func TestWhenAGroupIsLost(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) map[string]time.Time { return map[string]time.Time{"web": now.Add(-d)} }
	for name, c := range map[string]struct {
		absent    map[string]time.Time
		listed    bool
		connected callers
		lost      bool
	}{
		"all is well":                           {nil, true, callers{"web": true, protocol.PodAgent: true}, false},
		"not listed yet, but talking":           {nil, false, callers{"web": true, protocol.PodAgent: true}, false},
		"gone":                                  {ago(time.Second), false, nil, true},
		"one agent away for a moment":           {ago(30 * time.Second), true, callers{protocol.PodAgent: true}, false},
		"one agent away, the others there":      {ago(2 * time.Minute), true, callers{protocol.PodAgent: true}, true},
		"the pod agent too, but not all":        {ago(2 * time.Minute), true, callers{"db": true}, true},
		"not listed, one still talking":         {ago(30 * time.Second), false, callers{"db": true}, false},
		"all away: the network may be at fault": {ago(2 * time.Minute), true, nil, false},
		"all away for long":                     {ago(6 * time.Minute), true, nil, true},
	} {
		r := &Runtime{opts: Options{Agents: c.connected}}
		sb := &sandbox{ready: true, group: "g", absent: c.absent, images: map[string]images.Image{"web": {}, "db": {}}}
		if why := r.lost(sb, c.listed, now); (why != "") != c.lost {
			t.Errorf("%s: lost says %q", name, why)
		}
		sb.ready = false
		if why := r.lost(sb, c.listed, now); why != "" {
			t.Errorf("%s: a sandbox that was stopped is lost: %q", name, why)
		}
	}
}
