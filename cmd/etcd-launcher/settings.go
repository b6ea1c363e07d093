package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"frankenetes.dev/cloud"
	"frankenetes.dev/cluster/etcd"
)

// settings are what the command line says.
type settings struct {
	share, config string
	generation    etcd.Generation
	initialized   bool
	every         time.Duration
	keep          int
	endpoint      string
	tls           transport.TLSInfo
	restore       string
	// cluster and cloudConfig are of a cluster that pauses itself.
	cluster, cloudConfig string
	command              []string
}

func parse(args []string) (settings, error) {
	var s settings
	f := flag.NewFlagSet("etcd-launcher", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "usage: etcd-launcher FLAG... -- ETCD ARG...")
		f.PrintDefaults()
	}
	f.StringVar(&s.share, "share", "", "directory where etcd's file share is mounted")
	f.StringVar(&s.config, "share-config", "", "file that says how the share is reached by the Files API")
	f.IntVar(&s.generation.Number, "start", 0, "which start of the cluster's etcd this is; counts from 1")
	f.StringVar(&s.generation.Nonce, "nonce", "", "tells apart starts that have the same number: lower case letters and digits")
	f.BoolVar(&s.initialized, "initialized", false, "the cluster has had a store: refuse to make a new one")
	f.DurationVar(&s.every, "snapshot-every", 0, "time between two snapshots; 0 takes none")
	f.IntVar(&s.keep, "snapshot-keep", 24, "how many snapshots are kept")
	f.StringVar(&s.endpoint, "endpoint", "https://localhost:2379", "where etcd serves its clients")
	f.StringVar(&s.tls.TrustedCAFile, "cacert", "", "file with etcd's authority")
	f.StringVar(&s.tls.CertFile, "cert", "", "file with a client's certificate for etcd")
	f.StringVar(&s.tls.KeyFile, "key", "", "file with its key")
	f.StringVar(&s.restore, "etcdutl", "/usr/local/bin/etcdutl", "program that makes a store of a snapshot")
	f.StringVar(&s.cluster, "cluster", "", "name of the cluster, which pauses itself")
	f.StringVar(&s.cloudConfig, "cloud-config", "", "file that says how the cloud is reached, for a cluster that pauses itself")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	s.command = f.Args()
	if s.share == "" || s.config == "" || s.generation.Number < 1 || s.generation.Nonce == "" || len(s.command) == 0 {
		return s, errors.New("--share, --share-config, --start, --nonce and etcd's command line must be given")
	}
	if s.every < 0 || s.keep < 1 {
		return s, errors.New("--snapshot-every cannot be negative, and --snapshot-keep not less than 1")
	}
	return s, nil
}

// launcher is what the settings make.
func (s settings) launcher(log *slog.Logger) (*etcd.Launcher, error) {
	data, err := os.ReadFile(s.config)
	if err != nil {
		return nil, fmt.Errorf("read how the share is reached: %w", err)
	}
	var c cloud.ShareConfig
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, fmt.Errorf("read how the share is reached: %s: %w", s.config, err)
	}
	share, err := c.Open()
	if err != nil {
		return nil, err
	}
	l := &etcd.Launcher{
		Share: s.share, Handles: share, Generation: s.generation, Initialized: s.initialized,
		Command: s.command, Restore: []string{s.restore, "snapshot", "restore"}, Log: log,
	}
	if s.every > 0 {
		source, err := s.source()
		if err != nil {
			return nil, err
		}
		snapshots := etcd.Schedule{Share: s.share, Source: source, Every: s.every, Keep: s.keep, Log: log}
		l.Beside = append(l.Beside, snapshots.Run)
	}
	if s.cluster != "" {
		sleeper, err := s.sleeper(log)
		if err != nil {
			return nil, err
		}
		l.Beside = append(l.Beside, sleeper)
	}
	return l, nil
}

// source takes snapshots of the etcd that runs here. Each has a connection of
// its own: they are rare.
func (s settings) source() (etcd.Source, error) {
	tls, err := s.tls.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read certificate for etcd: %w", err)
	}
	return func(ctx context.Context) (io.ReadCloser, error) {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.endpoint}, TLS: tls, Context: ctx, Logger: zap.NewNop()})
		if err != nil {
			return nil, fmt.Errorf("connect to etcd: %w", err)
		}
		stream, err := client.Snapshot(ctx)
		if err != nil {
			return nil, errors.Join(err, client.Close())
		}
		return closing{stream, client}, nil
	}, nil
}

// closing closes the connection with the stream.
type closing struct {
	io.ReadCloser
	client *clientv3.Client
}

func (c closing) Close() error { return errors.Join(c.ReadCloser.Close(), c.client.Close()) }
