// Command etcd-launcher is the first process of etcd's container group: it takes
// etcd's store from whoever had it, and then runs etcd.
//
// Under other names it does what is asked through a cloud's exec, which takes no
// arguments. "stop" asks the first process to end: so etcd is ended cleanly, as
// deleting a group kills. "snapshot" writes one to the share and says where.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"frankenetes.dev/cluster/etcd"
)

func main() {
	ctx, done := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer done()
	code := 0
	var err error
	switch name := filepath.Base(os.Args[0]); name {
	case "stop":
		err = syscall.Kill(1, syscall.SIGTERM)
	case "snapshot":
		err = snapshot(ctx)
	default:
		code, err = launch(ctx, os.Args[1:])
	}
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		code = max(code, 1)
	}
	if errors.Is(err, etcd.ErrSuperseded) {
		code = 0 // the group is to stay down
	}
	os.Exit(code)
}

// launch is the first process of the group.
func launch(ctx context.Context, args []string) (int, error) {
	s, err := parse(args)
	if err != nil {
		return exitUsage, err
	}
	l, err := s.launcher(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return exitUsage, err
	}
	return l.Run(ctx)
}

const exitUsage = 2

// snapshot takes one, with the settings of the container's first process, and
// prints where it is.
func snapshot(ctx context.Context) error {
	line, err := os.ReadFile("/proc/1/cmdline")
	if err != nil {
		return fmt.Errorf("read the command line of process 1: %w", err)
	}
	args := strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
	s, err := parse(args[1:])
	if err != nil {
		return fmt.Errorf("process 1 is no etcd-launcher: %w", err)
	}
	source, err := s.source()
	if err != nil {
		return err
	}
	taken, err := source.Save(ctx, s.share, "asked-")
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(taken)
}
