package main

import (
	"context"
	"log/slog"
	"time"

	"frankenetes.dev/cloud"
	"frankenetes.dev/cluster"
	"frankenetes.dev/cluster/etcd"
)

// sleeper is what pauses the cluster when nobody uses it.
func (s settings) sleeper(log *slog.Logger) (func(context.Context, etcd.Running), error) {
	conf, err := cloud.Load(s.cloudConfig)
	if err != nil {
		return nil, err
	}
	conn, err := cloud.Connect(conf)
	if err != nil {
		return nil, err
	}
	operator := cluster.NewOperator(conn, steps{log})
	return func(ctx context.Context, running etcd.Running) {
		for {
			watch, err := operator.Sleeper(ctx, s.cluster, running.End, log)
			if err == nil {
				watch.Run(ctx)
				return
			}
			log.Warn("the cluster cannot pause itself yet", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(sleeperPause):
			}
		}
	}, nil
}

// sleeperPause is the time between two tries to ask the cloud for the cluster.
const sleeperPause = 10 * time.Second

// steps logs the steps of a pause.
type steps struct{ log *slog.Logger }

func (steps) Start(string, int, int) {}

func (s steps) Done(name string, _, _ int, detail string, took time.Duration, err error) {
	if err != nil {
		s.log.Error("step failed", "step", name, "error", err)
		return
	}
	s.log.Info("step done", "step", name, "detail", detail, "took", took)
}
