package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"frankenetes.dev/cluster"
	"frankenetes.dev/cluster/backup"
	"frankenetes.dev/fault"
)

func (o *options) backupCommand() *cobra.Command {
	var (
		file, secret, snapshot string
		list                   bool
	)
	cmd := &cobra.Command{
		Use:   "backup [NAME] -o FILE",
		Short: "Write a cluster, with its data and keys, to one encrypted file",
		Long: "Writes all that a cluster is made of to one file, encrypted with a passphrase. A cluster that is\n" +
			"paused stays so; etcd runs for the moment that it takes. `frankenetes restore` makes a cluster of it,\n" +
			"here or elsewhere.",
		Args: o.atMostOne, ValidArgsFunction: o.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := o.clusterName(args)
			if list {
				return o.listSnapshots(cmd.Context(), name)
			}
			if file == "" {
				return fault.New(fault.Usage, "such as: frankenetes backup "+name+" -o "+name+".backup", "it is not said where to write the backup")
			}
			phrase, err := o.passphrase(cmd.Context(), secret, true)
			if err != nil {
				return err
			}
			opts := cluster.BackupOptions{Name: name, Passphrase: phrase, Snapshot: snapshot}
			return o.verb(cmd.Context(), name, "backed up to "+file, func(ctx context.Context, op *cluster.Operator) (*cluster.Access, error) {
				return nil, writeBackup(file, func(w io.Writer) error {
					_, err := op.Backup(ctx, opts, w)
					return err
				})
			})
		},
	}
	// Here -o is the file, as everywhere where a command writes one.
	cmd.Flags().StringVarP(&file, "output", "o", "", "file to write; one that exists is not replaced")
	addPassphrase(cmd, &secret)
	cmd.Flags().StringVar(&snapshot, "snapshot", "", "back up this snapshot, which was taken by schedule")
	cmd.Flags().BoolVar(&list, "list", false, "list the snapshots that were taken by schedule")
	return cmd
}

func addPassphrase(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "passphrase-file", "", "file whose first line is the passphrase; - is standard input (default: ask on the terminal)")
}

// writeBackup writes a file that is there only once it is whole.
func writeBackup(file string, write func(io.Writer) error) error {
	if _, err := os.Lstat(file); err == nil {
		return fault.New(fault.Conflict, "choose another name, or remove it", "%s exists, and is not replaced", file)
	}
	part, err := os.CreateTemp(filepath.Dir(file), ".backup-") // mode 0600
	if err != nil {
		return fault.New(fault.Usage, "choose a directory that can be written to", "write backup: %w", err)
	}
	err = write(part)
	if err == nil {
		err = part.Sync()
	}
	err = errors.Join(err, part.Close())
	if err == nil {
		// Unlike a rename, a link does not replace what came to be meanwhile.
		err = os.Link(part.Name(), file)
	}
	return errors.Join(err, os.Remove(part.Name()))
}

func (o *options) listSnapshots(ctx context.Context, name string) error {
	return o.ask(ctx, func(ctx context.Context, op *cluster.Operator) error {
		all, err := op.Snapshots(ctx, name)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			fmt.Fprintf(o.streams.Err, "Cluster %s has no snapshots yet.\n", name)
		}
		for _, f := range all {
			fmt.Fprintf(o.streams.Out, "%s  %8.1f MB\n", f.Name, float64(f.Size)/1e6)
		}
		return nil
	})
}

func (o *options) restoreCommand() *cobra.Command {
	var up cluster.UpOptions
	var secret string
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a new cluster of a backup",
		Long: "Makes a cluster of a backup, with its data, keys and settings, under its name or that of --name. It\n" +
			"starts the local cloud when that is not running. A cluster that exists is never replaced.",
		Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			up.Kubernetes = o.build.Kubernetes
			if cmd.Flags().Changed("name") {
				up.Name = o.name
				if err := cluster.CheckName(up.Name); err != nil {
					return err
				}
			}
			phrase, err := o.passphrase(cmd.Context(), secret, false)
			if err != nil {
				return err
			}
			return o.restore(cmd.Context(), args[0], phrase, up)
		},
	}
	cmd.Flags().StringVar(&up.Location, "location", "", "where to create it (default: the cloud's own)")
	cmd.Flags().IntVar(&up.Port, "port", 0, "port of this machine for the API server, where the cloud is local (default: a free one)")
	cmd.Flags().StringVar((*string)(&up.Network), "network", "", "vnet or public, as of `up`")
	cmd.Flags().BoolVar(&up.Keep, "keep", false, "leave a cluster that failed standing")
	addPassphrase(cmd, &secret)
	o.addNoWake(cmd)
	return cmd
}

func (o *options) restore(ctx context.Context, file, phrase string, up cluster.UpOptions) error {
	opts := cluster.RestoreOptions{UpOptions: up}
	// The whole backup is read and found good before anything is made of it.
	store, err := os.CreateTemp("", "frankenetes-")
	if err != nil {
		return fmt.Errorf("make room for the backup's data: %w", err)
	}
	defer store.Close()
	if err := os.Remove(store.Name()); err != nil { // it lives as long as this program
		return fmt.Errorf("make room for the backup's data: %w", err)
	}
	if opts.Manifest, opts.Record, err = readBackup(file, phrase, store); err != nil {
		return err
	}
	opts.Store = store
	if opts.Name == "" {
		opts.Name = opts.Manifest.Cluster
	}
	return o.verb(ctx, opts.Name, "restored", func(ctx context.Context, op *cluster.Operator) (*cluster.Access, error) {
		access, err := op.Restore(ctx, opts)
		return &access, err
	})
}

// readBackup reads a backup, whose store is left at its beginning.
func readBackup(file, phrase string, store *os.File) (backup.Manifest, []byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return backup.Manifest{}, nil, fault.New(fault.Usage, "give the file that `frankenetes backup` wrote", "read backup: %w", err)
	}
	defer f.Close()
	m, record, err := backup.Read(f, phrase, store)
	if err == nil {
		_, err = store.Seek(0, io.SeekStart)
	}
	hint := ""
	switch {
	case err == nil:
		return m, record, nil
	case errors.Is(err, backup.ErrNewer):
		hint = "use the version of frankenetes that wrote it, or a newer one"
	case errors.Is(err, backup.ErrPassphrase):
		hint = "give the passphrase that it was written with"
	case errors.Is(err, backup.ErrDamaged):
		hint = "fetch another copy of the file; nothing was made of this one"
	case errors.Is(err, backup.ErrForeign):
		hint = "give the file that `frankenetes backup` wrote"
	}
	return m, nil, fault.New(fault.Conflict, hint, "read backup %s: %w", file, err)
}
