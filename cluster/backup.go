package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"frankenetes.dev/cloud"
	"frankenetes.dev/cluster/backup"
	"frankenetes.dev/cluster/etcd"
	"frankenetes.dev/fault"
)

// BackupOptions says what to back up.
type BackupOptions struct {
	Name       string
	Passphrase string
	// Snapshot is the name of one that was taken by schedule; empty means one of
	// this moment.
	Snapshot string
}

// Backup writes a backup of a cluster, of this moment or of an earlier
// snapshot. Of a paused cluster etcd is started for the time that it takes, and
// nothing else.
func (o *Operator) Backup(ctx context.Context, opts BackupOptions, w io.Writer) (backup.Manifest, error) {
	s, err := o.open(ctx, opts.Name)
	if err != nil {
		return backup.Manifest{}, err
	}
	b := &saving{subject: s, options: opts, to: w}
	if b.share, err = s.storage.open(o.cloud, etcdShare); err != nil {
		return b.manifest, err
	}
	if opts.Snapshot == "" {
		err = b.now(ctx)
	} else {
		err = run(ctx, []Step{
			{Name: "Snapshot", Run: b.find},
			{Name: "File", Needs: needs("Snapshot"), Run: b.write},
		}, o.progress)
	}
	return b.manifest, err
}

// saving is a backup in the making.
type saving struct {
	*subject
	options  BackupOptions
	to       io.Writer
	share    *cloud.Share
	taken    etcd.Snapshot
	at       time.Time
	manifest backup.Manifest
}

// now backs up what the cluster is at this moment.
func (b *saving) now(ctx context.Context) error {
	g, err := b.cloud.GetGroup(ctx, b.name(), Etcd)
	if err != nil {
		return err
	}
	steps := []Step{
		{Name: "Snapshot", Run: b.take},
		{Name: "File", Needs: needs("Snapshot"), Run: b.write},
		{Name: "Clean up", Needs: needs("File"), Run: b.cleanUp},
	}
	if running(g) {
		return run(ctx, steps, b.progress)
	}
	start := []Step{{Name: "etcd", Run: b.startEtcd}}
	if b.subnet != "" {
		start = []Step{{Name: "Network", Run: b.startNetwork}, {Name: "etcd", Needs: needs("Network"), Run: b.startEtcd}}
	}
	steps[0].Needs = needs("etcd")
	err = run(ctx, append(start, steps...), b.progress)
	// It was paused, and is to be so again, also after an error.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	stop := []Step{{Name: "etcd again", Run: b.stopEtcd}}
	if b.subnet != "" {
		stop = append(stop, Step{Name: "Network again", Needs: needs("etcd again"), Run: b.stopNetwork})
	}
	return errors.Join(err, run(end, stop, b.progress))
}

// take has etcd's group write a snapshot to the share.
func (b *saving) take(ctx context.Context) (string, error) {
	// etcd may still be on its way up; the program in the group waits for it.
	out, err := b.cloud.Exec(ctx, b.name(), Etcd, Etcd, "/usr/local/bin/snapshot")
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(out[strings.LastIndexByte(strings.TrimSpace(out), '\n')+1:])
	if err := json.Unmarshal([]byte(line), &b.taken); err != nil || b.taken.File == "" {
		return "", fmt.Errorf("take snapshot: etcd's group says %q", strings.TrimSpace(out))
	}
	b.at = time.Now()
	return fmt.Sprintf("%.1f MB", float64(b.taken.Bytes)/1e6), nil
}

// find looks at a snapshot that is there.
func (b *saving) find(ctx context.Context) (string, error) {
	b.taken.File = path.Join(etcd.SnapshotDir, path.Base(b.options.Snapshot))
	body, err := b.share.Open(ctx, b.taken.File)
	if errors.Is(err, cloud.ErrNoFile) {
		return "", fault.New(fault.NotFound, "`frankenetes backup "+b.name()+" --list` shows those that there are", "cluster %s has no snapshot %s", b.name(), b.options.Snapshot)
	}
	if err != nil {
		return "", err
	}
	defer body.Close()
	sum := sha256.New()
	if b.taken.Bytes, err = io.Copy(sum, body); err != nil {
		return "", fmt.Errorf("read snapshot %s: %w", b.options.Snapshot, err)
	}
	b.taken.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if b.at, err = etcd.SnapshotTime(b.options.Snapshot); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, %.1f MB", b.options.Snapshot, float64(b.taken.Bytes)/1e6), nil
}

// write copies the snapshot from the share into the backup.
func (b *saving) write(ctx context.Context) (string, error) {
	record, err := json.Marshal(b.record)
	if err != nil {
		return "", fmt.Errorf("encode record of cluster %s: %w", b.name(), err)
	}
	store, err := b.share.Open(ctx, b.taken.File)
	if err != nil {
		return "", err
	}
	defer store.Close()
	b.manifest = backup.Manifest{
		Cluster: b.name(), Kubernetes: b.record.Spec.Kubernetes, Taken: b.at.UTC().Truncate(time.Second),
		SHA256: b.taken.SHA256, Bytes: b.taken.Bytes,
	}
	if err := backup.Write(b.to, b.options.Passphrase, b.manifest, record, store); err != nil {
		return "", fmt.Errorf("write backup: %w", err)
	}
	return "encrypted", nil
}

func (b *saving) cleanUp(ctx context.Context) (string, error) {
	return "snapshot removed from the share", b.share.Remove(ctx, b.taken.File)
}

// Snapshots returns the snapshots on a cluster's share, the oldest first.
func (o *Operator) Snapshots(ctx context.Context, name string) ([]cloud.FileInfo, error) {
	s, err := o.open(ctx, name)
	if err != nil {
		return nil, err
	}
	share, err := s.storage.open(o.cloud, etcdShare)
	if err != nil {
		return nil, err
	}
	all, err := share.List(ctx, etcd.SnapshotDir)
	var whole []cloud.FileInfo
	for _, f := range all {
		if path.Ext(f.Name) == etcd.SnapshotSuffix {
			whole = append(whole, f)
		}
	}
	return whole, err
}
