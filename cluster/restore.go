package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/util/version"

	"frankenetes.dev/cluster/backup"
	"frankenetes.dev/cluster/etcd"
	"frankenetes.dev/fault"
)

// RestoreOptions says what a backup is to become. What is empty is as it was.
type RestoreOptions struct {
	// UpOptions are those of the new cluster; its nodes are as many as there were.
	UpOptions
	Manifest backup.Manifest
	// Record is the cluster's, as it was backed up.
	Record []byte
	// Store is the snapshot of etcd.
	Store io.Reader
}

// Restore makes a new cluster of a backup, with the authorities and the data of
// the old one. When it fails, or ctx ends, it is removed again, unless Keep is
// set.
func (o *Operator) Restore(ctx context.Context, opts RestoreOptions) (Access, error) {
	old, err := opts.record()
	if err != nil {
		return Access{}, err
	}
	if opts.Name == "" {
		opts.Name = old.Spec.Name
	}
	if err := errors.Join(CheckName(opts.Name), CheckPort(opts.Port), CheckNetwork(opts.Network)); err != nil {
		return Access{}, err
	}
	exists, err := o.Exists(ctx, opts.Name)
	if err != nil {
		return Access{}, err
	}
	if exists {
		return Access{}, fault.New(fault.Conflict, "give it another name with --name, or remove that one with `frankenetes down "+opts.Name+"`",
			"cluster %s exists, and is not replaced by a backup", opts.Name)
	}
	if opts.Port, err = o.choosePort(opts.Port); err != nil {
		return Access{}, err
	}
	opts.Nodes = old.Spec.Nodes
	return o.made(ctx, opts.UpOptions, func(s *subject) []Step {
		s.record.Authorities, s.record.Initialized = old.Authorities, true
		s.record.Spec.Snapshots, s.record.Spec.Sleep = old.Spec.Snapshots, old.Spec.Sleep
		// The record last: a cluster with a record has its data.
		return []Step{
			{Name: "Storage", Run: s.makeStorage},
			{Name: "Data", Needs: needs("Storage"), Run: func(ctx context.Context) (string, error) { return s.uploadStore(ctx, opts) }},
			{Name: "Certificates", Needs: needs("Data"), Run: s.keepAuthorities},
		}
	})
}

// record decodes the old cluster's record, if this program can make a cluster
// of it.
func (opts RestoreOptions) record() (*Record, error) {
	var r Record
	if err := json.Unmarshal(opts.Record, &r); err != nil {
		return nil, fmt.Errorf("read record in backup: %w", err)
	}
	if r.Spec.APIVersion != APIVersion {
		return nil, fault.New(fault.Conflict, "use the version of frankenetes that wrote it, or a newer one",
			"the backup has a record of version %q, which this program does not know", r.Spec.APIVersion)
	}
	theirs, err := version.ParseSemantic(r.Spec.Kubernetes)
	if err != nil {
		return nil, fmt.Errorf("read version of Kubernetes in backup: %w", err)
	}
	if ours, err := version.ParseSemantic(opts.Kubernetes); err != nil || ours.LessThan(theirs) {
		return nil, fault.New(fault.Conflict, "use a version of frankenetes with that Kubernetes or a newer one",
			"the backup is of Kubernetes %s, and this program has %s, which may not understand its data", r.Spec.Kubernetes, opts.Kubernetes)
	}
	return &r, nil
}

func (s *subject) uploadStore(ctx context.Context, opts RestoreOptions) (string, error) {
	share, err := s.storage.open(s.cloud, etcdShare)
	if err != nil {
		return "", err
	}
	if err := share.Upload(ctx, etcd.RestoreFile, opts.Store, opts.Manifest.Bytes); err != nil {
		return "", err
	}
	return fmt.Sprintf("%.1f MB of %s", float64(opts.Manifest.Bytes)/1e6, opts.Manifest.Taken.Format("2006-01-02 15:04:05 MST")), nil
}
