package runtime

import (
	"context"
	"errors"
	"testing"
	"time"

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
