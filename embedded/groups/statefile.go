package groups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// What is known of a deployment is kept in a file beside its logs, for the
// next daemon: the runtime knows how runs have ended, but not how many there
// were in other sandboxes, nor the events. The file is not forced to the disk;
// a host that loses power may lose the last words.

func (e *engine) stateFile(uid string) string { return filepath.Join(e.logDir(uid), ".state.json") }

// keepState writes the file whenever something has changed, until ctx is done,
// and then once more.
func (d *deployment) keepState(ctx context.Context) {
	for more := true; more; {
		select {
		case <-d.status.changed:
		case <-ctx.Done():
			more = false
		}
		if err := d.writeState(); err != nil {
			d.engine.log.Warn("state of group is not kept", "group", d.key, "error", err)
		}
	}
}

func (d *deployment) writeState() error {
	data, err := json.Marshal(d.status.snapshot())
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	path := d.engine.stateFile(d.uid)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// restore takes up what an earlier deployment object with the same uid, of
// this daemon or of another, has left. found says that the sandbox is there.
func (d *deployment) restore(found *found) {
	if d.recall() && found == nil {
		d.status.again(d.group)
	}
}

// recall reads what is kept of the deployment, and reports whether anything is.
func (d *deployment) recall() bool {
	data, err := os.ReadFile(d.engine.stateFile(d.uid))
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	var kept snapshot
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil {
		d.engine.log.Warn("state of group is not known", "group", d.key, "error", err)
		return false
	}
	d.status.restore(kept, d.floor)
	return true
}
