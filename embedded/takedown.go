package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// remains reports whether a daemon ended without taking down what it had made:
// groups that may run on, addresses, mounts and control groups. The first thing
// that it makes, and the last that it removes, is in the runtime directory.
func (o Options) remains() bool {
	entries, err := os.ReadDir(o.state())
	return err == nil && len(entries) > 0
}

// takeDown does what a daemon did not come to do: it ends all that runs in the
// cloud. What had ended while nobody looked is noted before.
func takeDown(ctx context.Context, o Options) error {
	if err := requireRoot(); err != nil {
		return err
	}
	log, err := openLog(logPath(o.Home))
	if err != nil {
		return err
	}
	defer log.Close()
	o.Log = slog.New(slog.NewTextHandler(log, nil))
	o.Log.Info("the daemon ended without taking its groups down; they are taken down now")
	d := &daemon{options: o, began: time.Now(), ending: true}
	if err := d.open(); err != nil {
		return errors.Join(err, d.close())
	}
	d.status.set(nil) // who asks is told that it stops
	err = d.ground(ctx, false)
	if err == nil {
		err = d.groups.Adopt(ctx)
	}
	if err != nil {
		return fmt.Errorf("take over container groups: %w", errors.Join(err, d.abandon(ctx)))
	}
	return d.down(ctx)
}
