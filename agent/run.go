package agent

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"frankenetes.dev/agent/cgroup"
	"frankenetes.dev/agent/crilog"
	"frankenetes.dev/agent/disk"
	"frankenetes.dev/agent/process"
	"frankenetes.dev/agent/protocol"
	"frankenetes.dev/agent/rootless"
)

const (
	// sweepTime is how long it may take to kill what a process left behind.
	sweepTime = 2 * time.Second
	// grace is how long the streams of a process that has ended are still
	// read, should someone keep them open.
	grace = time.Second
)

// run is one process of the container, from its start until it is removed.
type run struct {
	process protocol.Process
	// place is where its programs are started; room is the same if that is in
	// namespaces of its own, else nil.
	place  process.Starter
	room   *rootless.Room
	reaper *process.Reaper
	child  *process.Child
	stdio  *process.Stdio
	log    *crilog.Log
	// written measures what it writes to a root file system that is not simply
	// the container's, else it is nil.
	written *disk.Gauge
	// audience are the clients attached to the process.
	audience *audience
	cgroup   cgroup.Group
	oomKills uint64
	logger   *slog.Logger

	mu    sync.Mutex
	state protocol.State
	// ending is set when the process has ended: no command is executed beside
	// it from then on.
	ending bool
}

// launch prepares a container for a process and starts it.
func (s *supervisor) launch(p protocol.Process) (*run, error) {
	r := &run{
		process: p, reaper: s.reaper, audience: newAudience(patience),
		cgroup: s.cgroup, oomKills: s.cgroup.OOMKills(), logger: s.log.With("process", p.ID),
	}
	if err := r.makePlace(s.dirs); err != nil {
		return nil, err
	}
	var err error
	if r.log, err = crilog.Create(filepath.Join(s.logs, p.ID+".log"), crilog.Limit); err != nil {
		r.leavePlace()
		r.forget()
		return nil, err
	}
	if err := r.fork(); err != nil {
		r.leavePlace()
		r.forget()
		if err := r.log.Remove(); err != nil {
			r.logger.Warn("remove log", "error", err)
		}
		return nil, refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	return r, nil
}

// makePlace makes the place where the process runs: this container as it is,
// or namespaces beside it.
func (r *run) makePlace(dirs rootless.Dirs) error {
	if r.process.Exact != nil {
		room, err := rootless.Open(r.reaper, dirs, r.process)
		if err != nil {
			return refuse(http.StatusUnprocessableEntity, "%v", err)
		}
		r.room, r.place = room, room
		if room.MeasuresItself() {
			r.written = disk.NewGauge(room.Written)
		}
		return nil
	}
	setting, err := process.NewSetting(r.process)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	r.place = setting
	return prepareFiles(r.process, r.logger)
}

// leavePlace ends what makePlace has started, and forget removes the rest, which
// may take its time.
func (r *run) leavePlace() {
	if r.written != nil {
		r.written.Close()
	}
	if r.room != nil {
		r.room.Close()
	}
}

func (r *run) forget() {
	if r.room == nil {
		return
	}
	if err := r.room.Forget(); err != nil {
		r.logger.Warn("forget a root file system", "error", err)
	}
}

// message is what the process left at its termination message path.
func (r *run) message() string {
	if r.room != nil {
		return r.room.Message(r.process.TerminationMessagePath)
	}
	return readMessage(r.process.TerminationMessagePath)
}

func (r *run) fork() (err error) {
	if r.process.TTY {
		r.stdio, err = process.NewTerminal(r.place.UID())
	} else {
		r.stdio, err = process.NewPipes(r.process.Stdin, r.place.UID())
	}
	if err != nil {
		return err
	}
	if r.child, err = r.reaper.Start(r.process.ID, r.place, r.process.Args, r.stdio); err != nil {
		return err
	}
	r.state = protocol.State{
		ID: r.process.ID, Phase: protocol.Running, PID: r.child.PID, StartedAt: r.child.Started,
	}
	return nil
}

func (r *run) current() protocol.State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// watch records what the process writes until it has ended, and returns its
// last state once everything is recorded and nothing of it is left.
func (r *run) watch() protocol.State {
	pumped := make(chan struct{})
	go func() {
		defer close(pumped)
		r.record()
	}()
	<-r.child.Done()
	r.mu.Lock()
	r.ending = true
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), sweepTime)
	r.reaper.Sweep(ctx, r.process.ID)
	cancel()
	select {
	case <-pumped:
	case <-time.After(grace):
		r.stdio.Expire()
		<-pumped
	}
	_ = r.stdio.Close()
	r.log.End()

	final := r.current()
	final.Phase = protocol.Exited
	final.FinishedAt = r.child.Finished()
	final.ExitCode = r.child.ExitCode()
	final.OOMKilled = final.ExitCode != 0 && r.cgroup.OOMKills() > r.oomKills
	final.Message = r.message()
	r.leavePlace()
	return final
}

// end publishes the last state, and lets those attached go.
func (r *run) end(final protocol.State) {
	r.mu.Lock()
	r.state = final
	r.mu.Unlock()
	r.audience.close(final.ExitCode)
}

// record copies all output to the log and to the audience. A log that cannot
// be written, as when the disk is full, does not stop the process.
func (r *run) record() {
	streams := map[protocol.Kind]string{protocol.Output: crilog.Stdout, protocol.ErrorOutput: crilog.Stderr}
	var pumps sync.WaitGroup
	for kind := range r.stdio.Outputs {
		pumps.Go(func() {
			lines := r.log.Writer(streams[kind])
			var complain sync.Once
			failed := func(err error) {
				complain.Do(func() { r.logger.Error("output is lost", "stream", streams[kind], "error", err) })
			}
			err := r.stdio.Pump(kind, func(data []byte) error {
				if _, err := lines.Write(data); err != nil {
					failed(err)
				}
				r.audience.send(kind, data)
				return nil
			})
			if err != nil {
				failed(err)
			}
			if err := lines.Close(); err != nil {
				failed(err)
			}
		})
	}
	pumps.Wait()
}
