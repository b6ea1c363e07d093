package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Handles are the files that clients of the share have open, as the share's own
// server knows them: a client that is frozen, or that nobody can reach any
// more, has its handles all the same.
type Handles interface {
	// CloseHandles closes every handle on a directory of the share and on all
	// below it, as far as the server can.
	CloseHandles(ctx context.Context, dir string) error
	// OpenHandles returns who has which files there open, a line each.
	OpenHandles(ctx context.Context, dir string) ([]string, error)
}

// ErrSuperseded is the answer to a launcher whose store a later start of the
// cluster's etcd has taken. It is not to try again.
var ErrSuperseded = errors.New("a later start of this cluster's etcd has the store")

// legacy is where etcd's data was before there were epochs.
const legacy = "data"

// unowned is the epoch of a store that nobody has had yet.
var unowned = epoch{owner: Generation{Nonce: "none"}}

// claimPause is how long to wait before the store is tried again that somebody
// has still open.
const claimPause = 200 * time.Millisecond

// claim takes the store for this launcher and returns its directory. Until ctx
// ends it waits for whoever has files of it open and cannot be made to close
// them; then it refuses. After it, nobody else can open the store by the name
// under which he knew it.
func (l *Launcher) claim(ctx context.Context) (string, error) {
	for {
		dir, err := l.try(ctx)
		if err == nil || !errors.Is(err, errInUse) {
			return dir, err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(claimPause):
		}
	}
}

// errInUse says that the store may be free in a moment.
var errInUse = errors.New("the store is in use")

func (l *Launcher) try(ctx context.Context) (string, error) {
	all, err := epochs(l.Share)
	if err != nil {
		return "", err
	}
	if len(all) > 1 {
		return "", fmt.Errorf("there are %d stores on the share (%v): remove all but the right one", len(all), all)
	}
	if len(all) == 0 {
		return l.first(ctx)
	}
	if err := l.dropRestored(); err != nil {
		return "", err
	}
	last := all[0]
	if l.Generation.Number < last.owner.Number || l.Generation.Number == last.owner.Number && l.Generation.Nonce != last.owner.Nonce {
		return "", fmt.Errorf("%w: it is start %d, this one is %d", ErrSuperseded, last.owner.Number, l.Generation.Number)
	}
	stored, err := hasStore(filepath.Join(l.Share, last.String()))
	if err != nil {
		return "", fmt.Errorf("look at etcd's data in %s: %w", last, err)
	}
	if !stored && l.Initialized {
		return "", l.missing("its directory " + last.String() + " holds no store of etcd's")
	}
	return l.take(ctx, last.String(), epoch{last.number + 1, l.Generation})
}

// first claims a share on which there is no epoch.
func (l *Launcher) first(ctx context.Context) (string, error) {
	next := epoch{1, l.Generation}
	if _, err := os.Stat(filepath.Join(l.Share, legacy)); err == nil {
		return l.take(ctx, legacy, next)
	}
	if _, err := os.Stat(filepath.Join(l.Share, RestoreFile)); err == nil {
		return l.restore(ctx, next)
	}
	if l.Initialized {
		return "", l.missing("it holds none of etcd's directories")
	}
	// It has the same name whoever makes it, and is taken like any other: of
	// several that are the first, one gets it.
	if err := os.Mkdir(filepath.Join(l.Share, unowned.String()), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make directory of etcd's store: %w", err)
	}
	return l.take(ctx, unowned.String(), next)
}

// missing is the refusal to make an empty store for a cluster that has had one.
func (l *Launcher) missing(what string) error {
	return fmt.Errorf("the cluster's data is not on its share (%s): bring it back, or restore the cluster from a backup; nothing was changed", what)
}

// take makes a directory ours: nobody has a file of it open any more, and
// nobody knows it by its new name.
func (l *Launcher) take(ctx context.Context, name string, next epoch) (string, error) {
	if err := l.fence(ctx, name); err != nil {
		return "", err
	}
	dir := filepath.Join(l.Share, next.String())
	err := os.Rename(filepath.Join(l.Share, name), dir)
	switch {
	case err == nil:
		return dir, nil
	case errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		// Somebody has opened a file of it meanwhile, or has taken it.
		return "", fmt.Errorf("%w: %w", errInUse, err)
	}
	return "", fmt.Errorf("take etcd's store: %w", err)
}

// fence closes what others have open of the store. It fails while they still
// have: then they could go on writing, and acknowledge what they write.
func (l *Launcher) fence(ctx context.Context, name string) error {
	open, err := l.Handles.OpenHandles(ctx, name)
	if err != nil {
		return fmt.Errorf("ask the share who has etcd's store open: %w", err)
	}
	if len(open) == 0 {
		return nil
	}
	l.Log.Warn("somebody has etcd's store open: their handles are closed", "handles", len(open), "first", open[0])
	if err := l.Handles.CloseHandles(ctx, name); err != nil {
		return fmt.Errorf("close others' handles of etcd's store: %w", err)
	}
	if open, err = l.Handles.OpenHandles(ctx, name); err != nil {
		return fmt.Errorf("ask the share who has etcd's store open: %w", err)
	}
	if len(open) > 0 {
		return fmt.Errorf("%w: %d files are open, first %s", errInUse, len(open), open[0])
	}
	return nil
}
