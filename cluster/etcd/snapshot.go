package etcd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// SnapshotDir is the directory on etcd's share that has its snapshots.
	SnapshotDir = "snapshots"
	// SnapshotSuffix ends the name of a whole one.
	SnapshotSuffix = ".db"
	// snapshotTime is how long one may take.
	snapshotTime = 5 * time.Minute
	// snapshotForm is the time at which it was taken, in its name.
	snapshotForm = "20060102T150405Z"
	// unfinished begins the name of one that is being written.
	unfinished = ".part-"
)

// Snapshot is a copy of etcd's store, as etcd itself writes it.
type Snapshot struct {
	// File is its path on the share.
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// SnapshotTime is when a snapshot of a schedule was taken, as its name says.
func SnapshotTime(name string) (time.Time, error) {
	t, err := time.Parse(snapshotForm+SnapshotSuffix, name)
	if err != nil {
		return t, fmt.Errorf("read time of snapshot %s: %w", name, err)
	}
	return t, nil
}

// Source gives a snapshot of a store while etcd runs on it.
type Source func(ctx context.Context) (io.ReadCloser, error)

// Save writes a snapshot below the directory where the share is mounted. It has
// its name only when it is whole and durable. The prefix says what it is for.
func (s Source) Save(ctx context.Context, share, prefix string) (Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	file := filepath.Join(SnapshotDir, prefix+time.Now().UTC().Format(snapshotForm)+SnapshotSuffix)
	snapshot, err := s.save(ctx, filepath.Join(share, file))
	snapshot.File = file
	if err != nil {
		return snapshot, fmt.Errorf("take snapshot of etcd: %w", err)
	}
	return snapshot, nil
}

func (s Source) save(ctx context.Context, path string) (snapshot Snapshot, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return snapshot, err
	}
	from, err := s(ctx)
	if err != nil {
		return snapshot, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := os.CreateTemp(filepath.Dir(path), unfinished)
	if err != nil {
		return snapshot, err
	}
	sum := sha256.New()
	snapshot.Bytes, err = io.Copy(to, io.TeeReader(from, sum))
	if err == nil {
		err = to.Sync()
	}
	// Closed before it is renamed: some file systems refuse what is open.
	err = errors.Join(err, to.Close())
	if err == nil {
		err = os.Rename(to.Name(), path)
	}
	if err != nil {
		return snapshot, errors.Join(err, os.Remove(to.Name()))
	}
	snapshot.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return snapshot, nil
}

// Schedule takes snapshots from time to time, and removes old ones.
type Schedule struct {
	Share  string
	Source Source
	Every  time.Duration
	// Keep is how many are kept.
	Keep int
	Log  *slog.Logger
}

// Run goes on until ctx ends. One that fails is told, and the next is tried at
// its time.
func (s Schedule) Run(ctx context.Context, _ Running) {
	if err := s.removeUnfinished(); err != nil {
		s.Log.Warn("snapshots that were not finished are left", "error", err)
	}
	tick := time.NewTicker(s.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		taken, err := s.Source.Save(ctx, s.Share, "")
		if err != nil {
			s.Log.Error("there is no new snapshot", "error", err)
			continue
		}
		s.Log.Info("snapshot taken", "file", taken.File, "bytes", taken.Bytes)
		if err := s.removeOld(); err != nil {
			s.Log.Error("old snapshots are left", "error", err)
		}
	}
}

// removeOld keeps the newest of those that were taken by schedule.
func (s Schedule) removeOld() error {
	names, err := s.names(func(name string) bool {
		_, err := SnapshotTime(name)
		return err == nil
	})
	if err != nil {
		return err
	}
	slices.Sort(names) // which is their order in time
	var errs []error
	for _, name := range names[:max(0, len(names)-s.Keep)] {
		errs = append(errs, os.Remove(filepath.Join(s.Share, SnapshotDir, name)))
	}
	return errors.Join(errs...)
}

// removeUnfinished removes what was being written when a launcher ended.
func (s Schedule) removeUnfinished() error {
	names, err := s.names(func(name string) bool { return strings.HasPrefix(name, unfinished) })
	var errs []error
	for _, name := range names {
		errs = append(errs, os.Remove(filepath.Join(s.Share, SnapshotDir, name)))
	}
	return errors.Join(append(errs, err)...)
}

func (s Schedule) names(which func(string) bool) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(s.Share, SnapshotDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if which(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, err
}
