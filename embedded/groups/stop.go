package groups

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/embedded/store"
)

// The store has one record while groups are being ended with the cloud: when
// that began. Were the daemon to die half way through, what it had killed by
// then would seem to have ended by itself.
const (
	stopKind = "stop"
	stopKey  = "began"
)

// Stop ends every group's containers, SIGTERM first, side by side, and leaves
// nothing in the runtime. The groups stay in the store.
func (s *Service) Stop(ctx context.Context) error {
	if err := s.noteStop(); err != nil { // a full disk keeps nobody from stopping
		s.options.Log.Error("that groups are ended is not noted", "error", err)
	}
	return s.end(func(d *deployment) error { return d.stop(ctx, stopGrace) })
}

// Release ends the service and leaves the containers running.
func (s *Service) Release() error {
	return s.end(func(d *deployment) error { d.release(); return nil })
}

func (s *Service) end(each func(*deployment) error) error {
	s.execs.close()
	s.attachments.close()
	var work errgroup.Group
	for _, g := range s.list("") {
		work.Go(func() error {
			var err error
			if d := g.live(); d != nil {
				err = each(d)
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			g.published.close()
			g.published = nil
			return err
		})
	}
	err := work.Wait()
	s.cancel()
	s.running.Wait()
	if err != nil {
		return fmt.Errorf("stop container groups: %w", err)
	}
	return nil
}

// noteStop puts it on record that groups are being ended, until they are
// resumed.
func (s *Service) noteStop() error {
	began, err := s.beganToStop()
	if err != nil || !began.IsZero() { // or else it goes on with what an earlier one began
		return err
	}
	return s.options.Store.Put(stopKind, stopKey, time.Now().UTC())
}

// beganToStop returns when groups began to be ended, or zero.
func (s *Service) beganToStop() (time.Time, error) {
	var began time.Time
	err := s.options.Store.Get(stopKind, stopKey, &began)
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return began, err
}

// wasEnded reports whether a container ran when groups began to be ended, and
// so did not end by itself.
func wasEnded(state *runtimeapi.ContainerStatus, began time.Time) bool {
	return !began.IsZero() && state.StartedAt < began.UnixNano() && state.FinishedAt >= began.UnixNano()
}
