package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

const (
	// RestoreFile is the snapshot on etcd's share that a new cluster begins with.
	RestoreFile = "restore" + SnapshotSuffix
	// restoring is the store while it is made of that.
	restoring = "restoring"
	// revisionBump is by how much the store's revision grows with a restore. A
	// client may have seen revisions that were made after the snapshot was taken;
	// as none of them comes again, it begins anew instead of missing changes.
	revisionBump = 1_000_000_000
)

// restore makes the first epoch's store of the snapshot on the share. Killed at
// any moment, it is done again from the beginning.
func (l *Launcher) restore(ctx context.Context, next epoch) (string, error) {
	l.Log.Info("the store is made of a snapshot", "file", RestoreFile)
	part := filepath.Join(l.Share, restoring)
	if err := os.RemoveAll(part); err != nil {
		return "", fmt.Errorf("remove what an earlier restore has left: %w", err)
	}
	args := append(l.Restore[1:len(l.Restore):len(l.Restore)],
		"--data-dir="+part, "--bump-revision="+strconv.Itoa(revisionBump), "--mark-compacted", filepath.Join(l.Share, RestoreFile))
	if out, err := exec.CommandContext(ctx, l.Restore[0], args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("restore etcd's store from its snapshot: %w: %s", err, lastLine(out))
	}
	dir := filepath.Join(l.Share, next.String())
	if err := os.Rename(part, dir); err != nil {
		return "", fmt.Errorf("restore etcd's store from its snapshot: %w", err)
	}
	return dir, l.dropRestored()
}

// dropRestored removes the snapshot that the store was made of.
func (l *Launcher) dropRestored() error {
	if err := os.Remove(filepath.Join(l.Share, RestoreFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the snapshot that was restored: %w", err)
	}
	return nil
}

// lastLine is the last line of a program's output.
func lastLine(out []byte) []byte {
	out = bytes.TrimSpace(out)
	return out[bytes.LastIndexByte(out, '\n')+1:]
}
