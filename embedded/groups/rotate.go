package groups

import (
	"context"
	"fmt"
	"os"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// rotated ends the name of a log that was put aside.
	rotated = ".1"
	// rotateSize is the size, in bytes, from which a log is put aside: twice
	// what can be asked for, since the runtime's own words take room too.
	rotateSize = 2 * logLimit
	// rotateEvery is how often logs are looked at. To be told of every write
	// would cost more than the writes.
	rotateEvery = time.Minute
)

// rotateLogs keeps logs from growing for ever, until ctx is done.
func (s *Service) rotateLogs(ctx context.Context) {
	for sleep(ctx, rotateEvery) {
		for _, g := range s.list("") {
			d := g.live()
			if d == nil {
				continue
			}
			for container, p := range d.status.snapshot().Containers {
				if p.Current.State != running {
					continue
				}
				if err := s.engine.rotateLog(ctx, d.uid, container, p); err != nil {
					s.options.Log.Warn("log is not rotated", "group", g.key, "container", container, "error", err)
				}
			}
		}
	}
}

// rotateLog puts a long log aside, in the place of the one before, and has the
// runtime go on with a new one.
func (e *engine) rotateLog(ctx context.Context, uid, container string, p progress) error {
	path := e.logPath(uid, container, p.Attempt)
	info, err := os.Stat(path)
	if err != nil || info.Size() < rotateSize {
		return err
	}
	if err := os.Rename(path, path+rotated); err != nil {
		return fmt.Errorf("put log aside: %w", err)
	}
	if _, err := e.cri.ReopenContainerLog(ctx, &runtimeapi.ReopenContainerLogRequest{ContainerId: p.ID}); err != nil {
		return fmt.Errorf("reopen log: %w", err)
	}
	return nil
}
