package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"frankenetes.dev/cluster"
	"frankenetes.dev/fault"
)

func (o *options) kubeconfigCommand() *cobra.Command {
	var merge, embed bool
	cmd := &cobra.Command{
		Use:   "kubeconfig [NAME]",
		Short: "Print a kubeconfig for a cluster",
		Args:  o.atMostOne, ValidArgsFunction: o.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, op *cluster.Operator) error {
				access, err := op.Access(ctx, o.clusterName(args))
				if err != nil {
					return err
				}
				if merge {
					return o.merge(access, embed)
				}
				if !embed {
					paths, done := kubeconfigPaths(os.Geteuid())
					if access, err = o.plugged(access, paths); err != nil {
						return err
					}
					if err := done(access.Name); err != nil {
						return err
					}
				}
				data, err := clientcmd.Write(*access.Config)
				if err != nil {
					return fmt.Errorf("encode kubeconfig: %w", err)
				}
				_, err = o.streams.Out.Write(data)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&merge, "merge", false, "merge it into your kubeconfig instead, and make it current")
	cmd.Flags().BoolVar(&embed, "embed", false, "put certificate and key into it, for use elsewhere: it then needs no frankenetes, and wakes no cluster")
	o.addNoWake(cmd)
	return cmd
}

func (o *options) kubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl ARG...",
		Short:              "Run the kubectl that comes with frankenetes",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			hyperkube := filepath.Join(o.binDir(), "hyperkube")
			env := os.Environ()
			if os.Getenv("KUBECONFIG") == "" {
				paths, _ := kubeconfigPaths(os.Geteuid())
				env = append(env, "KUBECONFIG="+paths.GetDefaultFilename())
			}
			err := syscall.Exec(hyperkube, append([]string{"kubectl"}, args...), env)
			return fault.New(fault.Unavailable, "`make build` builds it", "run kubectl of %s: %w", hyperkube, err)
		},
	}
}

// merge puts a cluster's entry into the user's kubeconfig. Its user is the
// credential plugin unless the credential is to be embedded.
func (o *options) merge(access cluster.Access, embed bool) error {
	paths, done := kubeconfigPaths(os.Geteuid())
	if !embed {
		var err error
		if access, err = o.plugged(access, paths); err != nil {
			return err
		}
	}
	if err := access.Merge(paths); err != nil {
		return err
	}
	return done(access.Name)
}

// addNoWake adds the flag by which what is written leaves clusters asleep.
func (o *options) addNoWake(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.asleep, "no-wake", false, "write a kubeconfig by which kubectl does not resume the cluster when it is paused")
}

// forget removes a cluster's entry from the user's kubeconfig.
func (o *options) forget(name string) error {
	paths, done := kubeconfigPaths(os.Geteuid())
	if err := cluster.Forget(paths, name); err != nil {
		return err
	}
	if err := os.Remove(credentialFile(paths, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget credential of cluster %s: %w", name, err)
	}
	return done(name)
}

// kubeconfigPaths are those of kubectl. Under sudo they are those of the user
// who called it, and done gives that user what was written for a cluster.
func kubeconfigPaths(euid int) (paths *clientcmd.PathOptions, done func(name string) error) {
	paths = clientcmd.NewDefaultPathOptions()
	nothing := func(string) error { return nil }
	name, asked := os.Getenv("SUDO_USER"), os.Getenv("KUBECONFIG")
	if asked != "" || name == "" || euid != 0 {
		return paths, nothing
	}
	caller, err := user.Lookup(name)
	if err != nil {
		return paths, nothing
	}
	dir := filepath.Join(caller.HomeDir, ".kube")
	paths.GlobalFile = filepath.Join(dir, "config")
	return paths, func(cluster string) error {
		uid, _ := strconv.Atoi(caller.Uid)
		gid, _ := strconv.Atoi(caller.Gid)
		file := credentialFile(paths, cluster)
		for _, path := range []string{dir, paths.GlobalFile, filepath.Dir(file), file} {
			if err := os.Lchown(path, uid, gid); err != nil && !os.IsNotExist(err) {
				return fmt.Errorf("give kubeconfig to %s: %w", name, err)
			}
		}
		return nil
	}
}
