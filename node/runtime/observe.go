package runtime

import (
	"context"
	"os"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/agent/protocol"
)

// Connected is to be called when an agent has connected. It follows what the
// agent reports, and returns when the connection ends.
func (r *Runtime) Connected(id protocol.ID, agent *protocol.Client) {
	sb := r.owner(id, agent)
	if sb == nil {
		r.log.Warn("an agent of an unknown group called", "group", id.Group, "container", id.Container)
		return
	}
	sb.mu.Lock()
	delete(sb.absent, id.Container)
	sb.mu.Unlock()
	if id.Container == protocol.PodAgent {
		r.record(sb) // it may not have it
		r.tasks.start(func() { r.refresh(sb) })
	}
	for {
		err := agent.Events(sb.life, func(s protocol.State) {
			if !r.observe(sb, s) && s.Phase == protocol.Running {
				r.endStray(sb, agent, s)
			}
		})
		select {
		case <-agent.Done():
			return
		default:
			r.log.Debug("an agent's events broke off", "group", id.Group, "container", id.Container, "error", err)
		}
		if again(sb.life, agent) != nil {
			return
		}
	}
}

// Disconnected is to be called after Connected has returned.
func (r *Runtime) Disconnected(id protocol.ID) {
	r.mu.Lock()
	sb := r.groups[id.Group]
	r.mu.Unlock()
	if sb != nil {
		r.miss(sb, id.Container)
	}
}

// miss notes that an agent is away, be it that it has never called, so that its
// group is given up if it stays so.
func (r *Runtime) miss(sb *sandbox, name string) {
	sb.mu.Lock()
	defer sb.mu.Unlock()
	if sb.life.Err() != nil || r.hears(sb, name) {
		return
	}
	if _, known := sb.absent[name]; !known {
		sb.absent[name] = time.Now()
	}
	r.lookSoon()
}

// observe takes note of a process's state as its agent reports it. The same
// may be reported again after a connection was lost. It reports false of a
// process that it does not know.
func (r *Runtime) observe(sb *sandbox, s protocol.State) bool {
	c := sb.find(s.ID)
	if c == nil {
		return false
	}
	if c.run(s.StartedAt) {
		r.record(sb)
		r.publish(sb, c.id, runtimeapi.ContainerEventType_CONTAINER_STARTED_EVENT)
	}
	r.follow(c)
	if s.Phase != protocol.Exited {
		return true
	}
	c.mu.Lock()
	known := c.finishing != nil
	c.finishing = &s
	c.mu.Unlock()
	if !known {
		r.tasks.start(func() { r.finish(c, s) })
	}
	return true
}

// endStray ends a process of which an earlier life of the node did not come to
// note that it was started: the kubelet is about to have another one made, and
// the two must not run side by side.
func (r *Runtime) endStray(sb *sandbox, agent *protocol.Client, s protocol.State) {
	r.log.Info("ending a process that was started for an earlier life", "group", sb.group, "process", s.ID)
	if err := agent.Signal(sb.life, s.ID, "SIGKILL"); err != nil && sb.life.Err() == nil {
		r.log.Warn("a process of an earlier life is not ended", "group", sb.group, "process", s.ID, "error", err)
	}
}

// finish marks a container as exited once its log is complete, and the files are
// here that others may need of it: who is told that it has ended may look at once.
func (r *Runtime) finish(c *container, s protocol.State) {
	select {
	case <-c.log.done:
	case <-c.sandbox.life.Done():
	}
	if r.life.Err() != nil {
		return // the node's next life hears of it again, and completes the log
	}
	r.bringEnvFiles(c.sandbox)
	r.exit(c, s, "")
}

// exit marks a container as exited. Why is empty if it ended by itself; if not,
// what its agent has said of its end still counts.
func (r *Runtime) exit(c *container, s protocol.State, why string) {
	c.mu.Lock()
	if c.finishing != nil {
		s, why = *c.finishing, ""
	}
	created := c.state == runtimeapi.ContainerState_CONTAINER_CREATED
	c.mu.Unlock()
	reason := reasonOf(s)
	if created && s.ExitCode == startFailed && why != "" {
		reason = reasonStart
	}
	if c.message != "" && s.Message != "" {
		message := s.Message[:min(len(s.Message), maxMessage)]
		c.mu.Lock()
		c.lastWords = message
		c.mu.Unlock()
		if err := os.WriteFile(c.message, []byte(message), 0o600); err != nil {
			r.log.Warn("a termination message is lost", "container", c.name(), "error", err)
		}
	}
	if !c.end(s, reason, why) {
		return
	}
	r.record(c.sandbox)
	r.publish(c.sandbox, c.id, runtimeapi.ContainerEventType_CONTAINER_STOPPED_EVENT)
}

// lookSoon asks for a look at the groups.
func (r *Runtime) lookSoon() {
	select {
	case r.nudge <- struct{}{}:
	default:
	}
}

const (
	// lookEvery is how often the groups are compared with the sandboxes,
	// lookAbsent how often while an agent is missing, and lookFirst how long
	// after one has gone missing.
	lookEvery, lookAbsent, lookFirst = time.Minute, 10 * time.Second, 2 * time.Second
	// A container whose agent is away for containerLost while others of its
	// group are there is lost; so is a group nobody of which calls for groupLost.
	containerLost, groupLost = time.Minute, 5 * time.Minute
)

// keepWatch compares groups and sandboxes until the runtime ends.
func (r *Runtime) keepWatch() {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for {
		select {
		case <-r.life.Done():
			return
		case <-r.nudge:
			timer.Reset(lookFirst)
			continue
		case <-timer.C:
		}
		ctx, cancel := context.WithTimeout(r.life, cleanTimeout)
		if err := r.reconcile(ctx); err != nil && r.life.Err() == nil {
			r.log.Warn("groups cannot be compared with sandboxes", "error", err)
		}
		cancel()
		if r.anyAbsent() {
			timer.Reset(lookAbsent)
		} else {
			timer.Reset(lookEvery)
		}
	}
}

func (r *Runtime) anyAbsent() bool {
	for _, sb := range r.allSandboxes() {
		sb.mu.Lock()
		missing := sb.ready && len(sb.absent) > 0
		sb.mu.Unlock()
		if missing {
			return true
		}
	}
	return false
}
