package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"frankenetes.dev/node"
	"frankenetes.dev/node/config"
)

// virtualKubelet runs the node until SIGTERM.
func virtualKubelet(args []string) int {
	c, err := config.ParseFlags(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "virtual-kubelet: %v\n", err)
		return exitUsage
	}
	ctx, done := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer done()
	level := slog.LevelInfo
	if c.Verbosity > 0 {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	if err := node.Run(ctx, c, log); err != nil {
		log.Error("the node has failed", "error", err)
		return 1
	}
	return 0
}
