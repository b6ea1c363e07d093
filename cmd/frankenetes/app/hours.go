package app

import (
	"context"
	"log/slog"
	"time"

	"frankenetes.dev/cloud"
	"frankenetes.dev/cluster"
	"frankenetes.dev/cluster/hours"
)

// hoursPause is the time between two looks at the clusters' hours, which have
// minutes.
const hoursPause = 20 * time.Second

// keepHours pauses and resumes clusters at the times that their hours say, until
// ctx ends. What was due while nobody looked is not done later.
func (o *options) keepHours(ctx context.Context, conf cloud.Config, log *slog.Logger) {
	conn, err := cloud.Connect(conf)
	if err != nil {
		log.Error("clusters are not paused and resumed at their times", "error", err)
		return
	}
	op := cluster.NewOperator(conn, noProgress{})
	tick := time.NewTicker(hoursPause)
	defer tick.Stop()
	for earlier := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		due, err := op.Due(ctx, earlier, now)
		if err != nil && ctx.Err() == nil {
			log.Error("not every cluster's times are known", "error", err)
		}
		for name, action := range due {
			o.keepHour(ctx, op, name, action, log)
		}
		earlier = now
	}
}

func (o *options) keepHour(ctx context.Context, op *cluster.Operator, name string, action hours.Action, log *slog.Logger) {
	ctx, cancel := o.withTimeout(ctx)
	defer cancel()
	unlock, err := o.awaitLock(ctx, name)
	if err == nil {
		defer unlock()
		switch action {
		case hours.Pause:
			err = op.Pause(ctx, name)
		case hours.Resume:
			_, err = op.Resume(ctx, name, 0)
		}
	}
	if err != nil {
		log.Error("a cluster's time has come, and it was not done", "cluster", name, "action", action, "error", err)
		return
	}
	log.Info("a cluster's time has come", "cluster", name, "action", action)
}
