package groups

import (
	"slices"
	"sync"
	"time"
)

// The states of a group, its provisioning and its containers.
const (
	pending, running, succeeded, failed, stopped = "Pending", "Running", "Succeeded", "Failed", "Stopped"
	creating                                     = "Creating"
	waiting, terminated                          = "Waiting", "Terminated"
	normal, warning                              = "Normal", "Warning"
)

// progress is what is known of one container.
type progress struct {
	Restarts int32
	Current  ContainerState
	Previous *ContainerState
	Events   []Event
	// Started says that it ran, or was tried to, at least once; Final that
	// it will not run again.
	Started, Final bool
	// Unready says that its readiness probe has not found it ready.
	Unready bool
	// ID is the runtime's name of the latest run, Attempt its number, which is
	// how often it was restarted. Without an ID, the next run will have it.
	ID      string
	Attempt uint32
}

// exitedZero reports whether the container's last run ended well.
func (p *progress) exitedZero() bool {
	return p.Current.State == terminated && p.Current.ExitCode != nil && *p.Current.ExitCode == 0
}

// status is what is known of a deployment. It is safe for concurrent use.
type status struct {
	mu           sync.Mutex
	provisioning string
	provisioned  chan struct{} // closed when provisioning is Succeeded or Failed
	changed      chan struct{} // signalled after every change
	ip           string
	events       []Event
	containers   map[string]*progress
	created      time.Time
}

// snapshot is a status as it is kept in the store, and as views are made of.
type snapshot struct {
	Provisioning string
	IP           string
	Events       []Event
	Containers   map[string]progress
}

func newStatus(g *Group, now time.Time) *status {
	s := &status{provisioning: pending, provisioned: make(chan struct{}), changed: make(chan struct{}, 1), containers: map[string]*progress{}, created: now}
	for _, c := range slices.Concat(g.Properties.InitContainers, g.Properties.Containers) {
		// A start time although it has not started: a virtual kubelet that
		// is in use dereferences it.
		s.containers[c.Name] = &progress{Current: ContainerState{State: waiting, StartTime: &now}, Unready: c.Properties.ReadinessProbe != nil}
	}
	return s
}

// change locks the status. Call the function to say that it is done.
func (s *status) change() (done func()) {
	s.mu.Lock()
	return func() {
		s.mu.Unlock()
		select {
		case s.changed <- struct{}{}:
		default: // a signal is pending already
		}
	}
}

// update changes one container's progress.
func (s *status) update(container string, change func(p *progress)) {
	defer s.change()()
	change(s.containers[container])
}

// event notes what happened to a container, or to the group if container is empty.
func (s *status) event(container, kind, name, message string) {
	defer s.change()()
	if container == "" {
		s.events = note(s.events, kind, name, message, now())
		return
	}
	p := s.containers[container]
	p.Events = note(p.Events, kind, name, message, now())
}

// maxEvents is how many different events are kept of one container.
const maxEvents = 50

// note appends an event, or counts it when the same was there before.
func note(events []Event, kind, name, message string, now time.Time) []Event {
	for i := range events {
		if e := &events[i]; e.Name == name && e.Message == message && e.Type == kind {
			e.Count++
			e.LastTimestamp = now
			return events
		}
	}
	if len(events) == maxEvents {
		events = events[1:]
	}
	return append(events, Event{Count: 1, FirstTimestamp: now, LastTimestamp: now, Name: name, Message: message, Type: kind})
}

// provision moves provisioning on. Its last state, once reached, stays.
func (s *status) provision(state string) {
	defer s.change()()
	if s.provisioning == succeeded || s.provisioning == failed {
		return
	}
	s.provisioning = state
	if state == succeeded || state == failed {
		close(s.provisioned)
	}
}

func (s *status) setIP(ip string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ip = ip
}

// lost notes that every container that had not ended is gone, with an exit
// code that is as good as can be told.
func (s *status) lost(exitCode int32) {
	defer s.change()()
	for _, p := range s.containers {
		p.lost(exitCode)
	}
}

func (p *progress) lost(exitCode int32) {
	if p.Final {
		return
	}
	var started time.Time
	if p.Current.StartTime != nil {
		started = *p.Current.StartTime
	}
	p.Current = ended(started, time.Now().UTC(), exitCode, "")
	p.Started, p.Final = true, true
}

// end makes of a copy of a status that of a group that was ended.
func (s *snapshot) end(exitCode int32) {
	for name, p := range s.Containers {
		p.lost(exitCode)
		s.Containers[name] = p
	}
}

// again prepares for a new life of the group: init containers run once more,
// others unless they had ended for good.
func (s *status) again(g *Group) {
	defer s.change()()
	for _, c := range g.Properties.InitContainers {
		s.containers[c.Name].Final = false
	}
	for _, p := range s.containers {
		if !p.Final {
			p.anew(p.next(), s.created)
		}
	}
}

// next returns the number of the next run.
func (p *progress) next() uint32 {
	if p.ID == "" {
		return p.Attempt // there was none with that number yet
	}
	return p.Attempt + 1
}

// anew prepares for a run with the given number that follows on no end of the
// run before.
func (p *progress) anew(attempt uint32, created time.Time) {
	if p.Current.State == running {
		p.Current = ended(*p.Current.StartTime, time.Now().UTC(), exitKilled, "")
	}
	if p.Current.State == terminated {
		last := p.Current
		p.Previous = &last
	}
	p.Restarts, p.Attempt, p.ID = int32(attempt), attempt, ""
	p.Current = ContainerState{State: waiting, StartTime: &created}
	p.Started, p.Final = false, false
}

// restore takes up what was known before. Runs with numbers below the floor
// are over: the group was restarted.
func (s *status) restore(kept snapshot, floor map[string]uint32) {
	if kept.Provisioning == succeeded || kept.Provisioning == failed {
		s.provision(kept.Provisioning)
	}
	defer s.change()()
	s.events = kept.Events
	for name, p := range s.containers {
		before, ok := kept.Containers[name]
		if !ok {
			continue
		}
		*p = before
		if p.Attempt < floor[name] {
			if p.Current.State == running {
				p.Events = note(p.Events, normal, "Killing", "Killing container with id "+p.ID+":Container group is restarted.", now())
			}
			p.anew(floor[name], s.created)
		}
	}
}

// now is the time as events have it.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// snapshot copies the status.
func (s *status) snapshot() snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := snapshot{Provisioning: s.provisioning, IP: s.ip, Events: slices.Clone(s.events), Containers: map[string]progress{}}
	for name, p := range s.containers {
		copied := *p
		copied.Events = slices.Clone(p.Events)
		c.Containers[name] = copied
	}
	return c
}

// groupState derives the state of a group that was not stopped.
func groupState(g *Group, s snapshot) string {
	policy := g.Properties.RestartPolicy
	for _, c := range g.Properties.InitContainers {
		if p := s.Containers[c.Name]; p.Final && !p.exitedZero() {
			return failed
		}
	}
	ended, wrong := 0, 0
	for _, c := range g.Properties.Containers {
		p := s.Containers[c.Name]
		if !p.Started {
			return pending
		}
		if p.Final {
			ended++
			if !p.exitedZero() {
				wrong++
			}
		}
	}
	switch {
	case ended < len(g.Properties.Containers) || policy == always:
		return running
	case wrong > 0:
		return failed
	default:
		return succeeded
	}
}
