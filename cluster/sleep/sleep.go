// Package sleep decides when a cluster is put to sleep: after a time in which
// nobody has used it. It runs inside the cluster, since no command line need
// run anywhere.
package sleep

import (
	"context"
	"log/slog"
	"time"
)

// Use is what there is of use at a moment.
type Use struct {
	// Requests counts users' requests since the API server has started.
	Requests float64
	// Sessions are those that go on: exec, attach, port-forward.
	Sessions float64
	// Pods are those that keep the cluster awake.
	Pods int
}

// Note is what others may know of a sleep that is to come.
type Note struct {
	// Used is when somebody used the cluster last, as far as is known.
	Used time.Time `json:"used"`
	// At is when it goes to sleep if nobody does.
	At time.Time `json:"at"`
	// Falling says that it is being paused at this moment.
	Falling bool `json:"falling,omitempty"`
}

// Watch puts a cluster to sleep.
type Watch struct {
	// After is the time without use.
	After time.Duration
	// Begun says that a pause has been begun, and is to be finished.
	Begun bool
	// Look asks what use there is.
	Look func(context.Context) (Use, error)
	// Tell writes a note for others.
	Tell func(context.Context, Note) error
	// Pause pauses the cluster. It may end this program on the way.
	Pause func(context.Context) error
	Log   *slog.Logger
}

const (
	// mostPause and leastPause bound the time between two looks. Use between
	// two of them is seen, since requests are counted.
	mostPause, leastPause = 30 * time.Second, time.Second
	// perSleep is how many looks there are before a sleep at least.
	perSleep = 10
)

// Run goes on until ctx ends or the cluster is paused. While it cannot know
// whether there is use, the cluster stays awake.
func (w Watch) Run(ctx context.Context) {
	tick := time.NewTicker(min(mostPause, max(leastPause, w.After/perSleep)))
	defer tick.Stop()
	used, last := time.Now(), Use{Requests: -1}
	for w.Begun && ctx.Err() == nil {
		if w.fall(ctx, used) {
			return
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	for {
		now, err := w.Look(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.Log.Warn("it is not known whether the cluster is used", "error", err)
			used = time.Now()
		case now.Requests != last.Requests || now.Sessions > 0 || now.Pods > 0:
			used, last = time.Now(), now
		case time.Since(used) >= w.After:
			if w.fall(ctx, used) {
				return
			}
		}
		w.tell(ctx, Note{Used: used, At: used.Add(w.After)})
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// fall pauses the cluster, and reports whether that was done. What is half done
// is tried again: by then nothing can use the cluster any more.
func (w Watch) fall(ctx context.Context, used time.Time) bool {
	w.Log.Info("nobody uses the cluster: it is paused", "used", used.UTC().Format(time.RFC3339))
	w.tell(ctx, Note{Used: used, At: time.Now(), Falling: true})
	if err := w.Pause(ctx); err != nil {
		w.Log.Error("the cluster is not paused; it is tried again", "error", err)
		return false
	}
	return true
}

func (w Watch) tell(ctx context.Context, n Note) {
	if err := w.Tell(ctx, n); err != nil && ctx.Err() == nil {
		w.Log.Warn("others are not told when the cluster sleeps", "error", err)
	}
}
