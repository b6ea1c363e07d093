package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"frankenetes.dev/agent/cgroup"
	"frankenetes.dev/agent/disk"
	"frankenetes.dev/agent/process"
	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/agent/rootless"
	"frankenetes.dev/agent/unpack"
	"golang.org/x/sys/unix"
)

// supervisor knows every process that the node had started and did not remove.
type supervisor struct {
	reaper *process.Reaper
	// logs is the directory of this container's logs.
	logs   string
	dirs   rootless.Dirs
	cgroup cgroup.Group
	log    *slog.Logger

	mu sync.Mutex
	// runs are by process ID; nil while one is being started.
	runs map[string]*run
	// order is that of starting.
	order []*run
	// before is the CPU time that the container had used when the last process
	// was started.
	before   uint64
	watchers map[*watcher]struct{}
	// closing is set when nothing is started any more, over when nothing
	// happens any more.
	closing, over bool
	// work is a goroutine for each run.
	work sync.WaitGroup
	// written measures what is written to the container's root file system.
	written *disk.Gauge
}

func newSupervisor(reaper *process.Reaper, logs string, dirs rootless.Dirs, group cgroup.Group, log *slog.Logger) *supervisor {
	began := time.Now()
	return &supervisor{
		reaper: reaper, logs: logs, dirs: dirs, cgroup: group, log: log,
		runs: map[string]*run{}, watchers: map[*watcher]struct{}{},
		written: disk.NewGauge(func(ctx context.Context) (protocol.Disk, error) { return disk.Tree(ctx, "/", began) }),
	}
}

// close ends what goes on beside the processes.
func (s *supervisor) close() { s.written.Close() }

// refuse makes an error that the node gets to see.
func refuse(status int, format string, args ...any) error {
	return &protocol.Error{Status: status, Message: fmt.Sprintf(format, args...)}
}

// start starts a process. It runs until it ends, whoever asked for it.
func (s *supervisor) start(p protocol.Process) (protocol.State, error) {
	if err := s.reserve(p.ID); err != nil {
		return protocol.State{}, err
	}
	// What cannot be read is not missed before somebody asks for it.
	before, _ := s.cgroup.Usage()
	r, err := s.launch(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.runs, p.ID)
		s.work.Done()
		return protocol.State{}, err
	}
	if !s.busy() { // else the count is another's
		s.before = before.CPUNanoseconds
	}
	s.runs[p.ID] = r
	s.order = append(s.order, r)
	state := r.current()
	s.tell(state)
	if s.closing { // the shutdown has not seen this one
		_ = r.child.Signal(unix.SIGTERM)
	}
	go func() {
		defer s.work.Done()
		final := r.watch()
		s.mu.Lock()
		r.end(final)
		s.tell(final)
		s.mu.Unlock()
		r.forget()
	}()
	return state, nil
}

// putRoot makes the root file system of a process that is to be started. What an
// attempt before has left is replaced.
func (s *supervisor) putRoot(id string, archive io.Reader) error {
	if err := checkID(id); err != nil {
		return err
	}
	s.mu.Lock()
	_, taken := s.runs[id]
	s.mu.Unlock()
	if taken {
		return refuse(http.StatusConflict, "process %s exists already", id)
	}
	dir := rootless.OwnRoot(s.dirs, id)
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
		return fmt.Errorf("make room for a root file system: %w", err)
	}
	if err := unpack.Dir(dir, archive); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return nil
}

func checkID(id string) error {
	if id == "" || strings.ContainsAny(id, "/\x00") || id[0] == '.' {
		return refuse(http.StatusBadRequest, "%q is no process ID", id)
	}
	return nil
}

// reserve takes an ID and counts its run as work.
func (s *supervisor) reserve(id string) error {
	if err := checkID(id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return refuse(http.StatusServiceUnavailable, "the agent is ending")
	}
	if _, taken := s.runs[id]; taken {
		return refuse(http.StatusConflict, "process %s exists already", id)
	}
	s.runs[id] = nil
	s.work.Add(1)
	return nil
}

// busy reports whether a process runs. Callers hold mu.
func (s *supervisor) busy() bool {
	return slices.ContainsFunc(s.order, func(r *run) bool { return r.current().Phase == protocol.Running })
}

// usage reads what the container uses. A restart is another process in the
// same cgroup, and begins to count anew.
func (s *supervisor) usage(ctx context.Context, age time.Duration) (protocol.Usage, error) {
	u, err := s.cgroup.Usage()
	s.mu.Lock()
	u.CPUNanoseconds -= min(s.before, u.CPUNanoseconds)
	gauge := s.written
	for _, r := range s.order {
		if r.written != nil && r.current().Phase == protocol.Running {
			gauge = r.written
		}
	}
	s.mu.Unlock()
	if written, err := gauge.Read(ctx, age); err == nil {
		u.Written = &written
	}
	return u, err
}

// find returns a run that has started.
func (s *supervisor) find(id string) (*run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.runs[id]; r != nil {
		return r, nil
	}
	return nil, refuse(http.StatusNotFound, "there is no process %s", id)
}

// signal sends a signal to a process, not to those that it has started; but
// SIGKILL ends all of them, since none survives the process itself.
func (s *supervisor) signal(id, name string) error {
	r, err := s.find(id)
	if err != nil {
		return err
	}
	signal, err := process.ParseSignal(name)
	if err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	return r.child.Signal(signal)
}

// remove forgets a process that has ended.
func (s *supervisor) remove(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, known := s.runs[id]
	if !known {
		return nil
	}
	if r == nil || r.current().Phase != protocol.Exited {
		return refuse(http.StatusConflict, "process %s has not ended", id)
	}
	delete(s.runs, id)
	for i := range s.order {
		if s.order[i] == r {
			s.order = append(s.order[:i:i], s.order[i+1:]...)
			break
		}
	}
	return r.log.Remove()
}

// watcher gets states in order, and never misses one.
type watcher struct {
	pending []protocol.State
	// wake has a value while there may be something to look at.
	wake chan struct{}
}

// watch returns a watcher that begins with what is. Give it to unwatch.
func (s *supervisor) watch() *watcher {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &watcher{wake: make(chan struct{}, 1)}
	for _, r := range s.order {
		w.pending = append(w.pending, r.current())
	}
	s.watchers[w] = struct{}{}
	w.wake <- struct{}{}
	return w
}

func (s *supervisor) unwatch(w *watcher) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watchers, w)
}

// next waits for states; none means that there will be no more.
func (s *supervisor) next(ctx context.Context, w *watcher) []protocol.State {
	for {
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil
		}
		s.mu.Lock()
		states, over := w.pending, s.over
		w.pending = nil
		s.mu.Unlock()
		if len(states) > 0 || over {
			return states
		}
	}
}

// tell gives a state to every watcher. Callers hold mu.
func (s *supervisor) tell(state protocol.State) {
	for w := range s.watchers {
		w.pending = append(w.pending, state)
		w.nudge()
	}
}

func (w *watcher) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// shutDown asks every process to end and waits until all have; when the time
// is over or hurry is closed it kills them. Nothing is started from then on.
func (s *supervisor) shutDown(atMost time.Duration, hurry <-chan struct{}) {
	done := make(chan struct{})
	s.signalAll(unix.SIGTERM)
	go func() {
		s.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-hurry:
	case <-time.After(atMost):
	}
	s.signalAll(unix.SIGKILL)
	select {
	case <-done:
	case <-time.After(sweepTime + grace):
	}
}

func (s *supervisor) signalAll(signal unix.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for _, r := range s.order {
		if err := r.child.Signal(signal); err != nil {
			s.log.Warn("end process", "process", r.process.ID, "error", err)
		}
	}
}

// dismissWatchers tells all who watch that there is no more to see.
func (s *supervisor) dismissWatchers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for w := range s.watchers {
		w.nudge()
	}
}
