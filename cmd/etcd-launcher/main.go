// Command etcd-launcher is the first process of etcd's container group: it takes
// etcd's store from whoever had it, and then runs etcd. Called by the name
// "stop", it asks the container's first process to end: so etcd is ended
// cleanly through a cloud's exec, which takes no arguments, since deleting a
// group kills.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"frankenetes.dev/cloud"
	"frankenetes.dev/cluster/etcd"
)

func main() {
	if filepath.Base(os.Args[0]) == "stop" {
		if err := syscall.Kill(1, syscall.SIGTERM); err != nil {
			fmt.Fprintf(os.Stderr, "stop: signal process 1: %v\n", err)
			os.Exit(1)
		}
		return
	}
	launcher, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "etcd-launcher: %v\n", err)
		os.Exit(2)
	}
	ctx, done := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer done()
	code, err := launcher.Run(ctx)
	if err != nil {
		launcher.Log.Error("etcd does not run", "error", err)
	}
	if errors.Is(err, etcd.ErrSuperseded) {
		code = 0 // the group is to stay down
	}
	os.Exit(code)
}

// parse reads the command line.
func parse(args []string) (*etcd.Launcher, error) {
	l := &etcd.Launcher{Log: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	f := flag.NewFlagSet("etcd-launcher", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "usage: etcd-launcher FLAG... -- ETCD ARG...")
		f.PrintDefaults()
	}
	f.StringVar(&l.Share, "share", "", "directory where etcd's file share is mounted")
	config := f.String("share-config", "", "file that says how the share is reached by the Files API")
	f.IntVar(&l.Generation.Number, "start", 0, "which start of the cluster's etcd this is; counts from 1")
	f.StringVar(&l.Generation.Nonce, "nonce", "", "tells apart starts that have the same number: lower case letters and digits")
	f.BoolVar(&l.Initialized, "initialized", false, "the cluster has had a store: refuse to make a new one")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	l.Command = f.Args()
	if l.Share == "" || *config == "" || l.Generation.Number < 1 || l.Generation.Nonce == "" || len(l.Command) == 0 {
		return nil, errors.New("--share, --share-config, --start, --nonce and etcd's command line must be given")
	}
	data, err := os.ReadFile(*config)
	if err != nil {
		return nil, fmt.Errorf("read how the share is reached: %w", err)
	}
	var c cloud.ShareConfig
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("read how the share is reached: %s: %w", *config, err)
	}
	share, err := c.Open()
	l.Handles = share
	return l, err
}
