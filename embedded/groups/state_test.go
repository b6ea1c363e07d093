package groups

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGroupState(t *testing.T) {
	ran := func(code int32, final bool) progress {
		return progress{Started: true, Final: final, Current: ended(time.Now(), time.Now(), code, "")}
	}
	unstarted := progress{Current: ContainerState{State: waiting}}
	runs := progress{Started: true, Current: ContainerState{State: running}}
	for _, c := range []struct {
		name, policy, want string
		init, a, b         progress
	}{
		{"waits for its init container", always, pending, runs, unstarted, unstarted},
		{"one of two started", always, pending, ran(0, true), runs, unstarted},
		{"both run", always, running, ran(0, true), runs, runs},
		{"one crashes and is restarted", always, running, ran(0, true), runs, ran(1, false)},
		{"one has ended, one runs", never, running, ran(0, true), runs, ran(0, true)},
		{"both ended well", never, succeeded, ran(0, true), ran(0, true), ran(0, true)},
		{"both ended, one badly", never, failed, ran(0, true), ran(0, true), ran(3, true)},
		{"both ended well after failures", onFailure, succeeded, ran(0, true), ran(0, true), ran(0, true)},
		{"init container failed for good", never, failed, ran(1, true), unstarted, unstarted},
		{"init container fails and is restarted", onFailure, pending, ran(1, false), unstarted, unstarted},
	} {
		g := &Group{Properties: Properties{RestartPolicy: c.policy, InitContainers: []Container{{Name: "init"}}, Containers: []Container{{Name: "a"}, {Name: "b"}}}}
		s := snapshot{Containers: map[string]progress{"init": c.init, "a": c.a, "b": c.b}}
		if got := groupState(g, s); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestBackOff(t *testing.T) {
	var b backOff
	var waits []time.Duration
	for range 8 {
		waits = append(waits, b.after(time.Second))
	}
	want := []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 5 * time.Minute, 5 * time.Minute}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Error(diff)
	}
	if got := b.after(backOffReset); got != 0 {
		t.Errorf("after a long run: %s", got)
	}
}

func TestRestarts(t *testing.T) {
	for _, c := range []struct {
		policy string
		code   int32
		want   bool
	}{{always, 0, true}, {always, 1, true}, {onFailure, 0, false}, {onFailure, 1, true}, {never, 0, false}, {never, 1, false}} {
		if restarts(c.policy, c.code) != c.want {
			t.Errorf("%s, exit %d: restarts is %v", c.policy, c.code, !c.want)
		}
	}
	if initPolicy(always) != onFailure || initPolicy(never) != never {
		t.Error("init containers are not there to run for ever")
	}
}

func TestEventsAreCounted(t *testing.T) {
	first, later := time.Unix(1, 0), time.Unix(2, 0)
	events := note(nil, normal, "Started", "Started container", first)
	events = note(events, normal, "Killing", "Killing container", first)
	events = note(events, normal, "Started", "Started container", later)
	want := []Event{
		{Count: 2, FirstTimestamp: first, LastTimestamp: later, Name: "Started", Message: "Started container", Type: normal},
		{Count: 1, FirstTimestamp: first, LastTimestamp: first, Name: "Killing", Message: "Killing container", Type: normal},
	}
	if diff := cmp.Diff(want, events); diff != "" {
		t.Error(diff)
	}
}

func TestCredentialsGoToTheirRegistryOnly(t *testing.T) {
	g := &Group{Properties: Properties{ImageRegistryCredentials: []RegistryCredential{
		{Server: "index.docker.io", Username: "hub"}, {Server: "https://Example.com/", Username: "example"}}}}
	for image, want := range map[string]string{"nginx": "hub", "library/nginx:1": "hub", "docker.io/library/nginx": "hub", "example.com/a/b:1": "example",
		"example.com:5000/a": "", "other.io/nginx": "", "localhost/nginx": ""} {
		if got := g.credential(image).GetUsername(); got != want {
			t.Errorf("%s is pulled as %q, want %q", image, got, want)
		}
	}
}

func TestLocksAreTakenInTurn(t *testing.T) {
	var l locks
	unlock, err := l.take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.take(t.Context(), "b") // another group is not in the way
	if err != nil {
		t.Fatal(err)
	}
	other()
	taken := make(chan func())
	go func() {
		again, err := l.take(t.Context(), "a")
		if err != nil {
			t.Error(err)
		}
		taken <- again
	}()
	select {
	case <-taken:
		t.Fatal("two have the lock")
	default:
	}
	unlock()
	(<-taken)()
	if len(l.held) != 0 {
		t.Errorf("%d locks are remembered", len(l.held))
	}
}

func TestNoRunFinishesBeforeItStarted(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	for _, finished := range []time.Time{start.Add(-time.Millisecond), start} {
		if s := ended(start, finished, 0, ""); !s.FinishTime.Equal(start) {
			t.Errorf("it finished at %s", s.FinishTime)
		}
	}
	if s := ended(start, time.Time{}, 0, ""); s.FinishTime != nil {
		t.Errorf("without a time it finished at %s", s.FinishTime)
	}
}
