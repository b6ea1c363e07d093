package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"frankenetes.dev/cluster"
	"frankenetes.dev/fault"
)

// noWake is the variable that leaves paused clusters asleep.
const noWake = "FRANKENETES_NO_WAKE"

// credentialCommand is the credential plugin of the kubeconfigs that we write:
// kubectl and all that use its library call it for every command. It wakes a
// cluster that is paused.
func (o *options) credentialCommand() *cobra.Command {
	var file string
	var asleep bool
	cmd := &cobra.Command{
		Use:    "credential NAME",
		Short:  "Say who the user is, as kubectl asks, and wake the cluster for it",
		Long:   "Kubectl calls this by itself. It resumes a cluster that is paused, unless $" + noWake + " is set.",
		Hidden: true, Args: oneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			asleep = asleep || os.Getenv(noWake) != ""
			c, err := o.credential(ctx, args[0], file, asleep)
			if err != nil {
				return err
			}
			answer, err := c.Answer()
			if err != nil {
				return err
			}
			_, err = o.streams.Out.Write(answer)
			return err
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "where the credential is kept")
	cmd.Flags().BoolVar(&asleep, "no-wake", false, "leave a paused cluster asleep")
	return cmd
}

// credential returns that of a cluster that is awake. While the kept one leads
// to a cluster that says so itself, nobody else is asked.
func (o *options) credential(ctx context.Context, name, file string, asleep bool) (cluster.Credential, error) {
	c, err := cluster.LoadCredential(file)
	if errors.Is(err, cluster.ErrNoCredential) {
		c, err = o.fetchCredential(ctx, name, file)
	}
	if err != nil || c.Awake(ctx) {
		return c, err
	}
	if asleep {
		return c, fault.New(fault.Unavailable, "unset "+noWake+", or `frankenetes resume "+name+"`", "cluster %s does not answer, and is not to be woken", name)
	}
	return o.wake(ctx, name, file, c)
}

func (o *options) fetchCredential(ctx context.Context, name, file string) (c cluster.Credential, err error) {
	err = o.ask(ctx, func(ctx context.Context, op *cluster.Operator) error {
		access, err := op.Access(ctx, name)
		if err != nil {
			return err
		}
		c = access.Credential()
		return c.Save(file)
	})
	return c, err
}

// wake resumes a cluster. Of several that want to, one does, and the others
// wait for it.
func (o *options) wake(ctx context.Context, name, file string, c cluster.Credential) (cluster.Credential, error) {
	op, err := o.operator(ctx, noProgress{})
	if err != nil {
		return c, err
	}
	unlock, err := o.awaitLock(ctx, name)
	if err != nil {
		return c, err
	}
	defer unlock()
	if c.Awake(ctx) {
		return c, nil
	}
	start := time.Now()
	fmt.Fprintf(o.streams.Err, "Cluster %s is asleep: waking it.\n", name)
	access, err := op.Resume(ctx, name, 0)
	if err != nil {
		return c, err
	}
	fmt.Fprintf(o.streams.Err, "Cluster %s is running again after %.1f s.\n", name, time.Since(start).Seconds())
	c = access.Credential()
	return c, c.Save(file)
}

// plugged returns an access whose user is this program's credential plugin,
// and keeps the credential for it.
func (o *options) plugged(access cluster.Access, paths *clientcmd.PathOptions) (cluster.Access, error) {
	file := credentialFile(paths, access.Name)
	if err := access.Credential().Save(file); err != nil {
		return access, err
	}
	args := []string{"credential", access.Name, "--cloud", o.cloud, "--file", file}
	if o.cloud == cloudLocal {
		args = append(args, "--home", o.home)
	}
	if o.asleep {
		args = append(args, "--no-wake")
	}
	return access.WithPlugin(o.build.Executable, args...), nil
}

// credentialFile is where a cluster's credential is kept, beside the kubeconfig
// that has its entry.
func credentialFile(paths *clientcmd.PathOptions, name string) string {
	return filepath.Join(filepath.Dir(paths.GetDefaultFilename()), "frankenetes", name+".json")
}
