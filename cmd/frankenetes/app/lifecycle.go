package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"frankenetes.dev/cloud"
	"frankenetes.dev/cluster"
	"frankenetes.dev/embedded"
	"frankenetes.dev/embedded/isolation"
	"frankenetes.dev/fault"
)

func (o *options) upCommand() *cobra.Command {
	var up cluster.UpOptions
	schedules := schedules{snapshots: cluster.DefaultSnapshots()}
	cmd := &cobra.Command{
		Use:   "up [NAME]",
		Short: "Create a cluster, or start what is missing of it",
		Long: "Up creates the cluster's container groups and waits until its nodes are Ready. It starts the\n" +
			"local cloud when that is not running, and makes the cluster kubectl's current context. For a\n" +
			"cluster that exists, --nodes changes how many nodes it has: the pods of one that goes are evicted.",
		Args: o.atMostOne, ValidArgsFunction: o.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			up.Name, up.Kubernetes = o.clusterName(args), o.build.Kubernetes
			// Before the cloud is started for it.
			if err := errors.Join(cluster.CheckName(up.Name), cluster.CheckPort(up.Port), cluster.CheckNetwork(up.Network)); err != nil {
				return err
			}
			if cmd.Flags().Changed("nodes") {
				if err := cluster.CheckNodes(up.Nodes); err != nil {
					return err
				}
			}
			if err := schedules.take(cmd, &up, o.cloud == cloudLocal); err != nil {
				return err
			}
			return o.verb(cmd.Context(), up.Name, "ready", func(ctx context.Context, op *cluster.Operator) (*cluster.Access, error) {
				access, err := op.Up(ctx, up)
				return &access, err
			})
		},
	}
	cmd.Flags().StringVar(&up.Location, "location", "", "where to create it (default: the cloud's own)")
	cmd.Flags().IntVar(&up.Port, "port", 0, "port of this machine for the API server, where the cloud is local (default: a free one)")
	cmd.Flags().StringVar((*string)(&up.Network), "network", "", "vnet, a virtual network of its own, or public, where every component has a public address\n"+
		"(default: vnet, but public on Azure, where this machine would have to be in the network)")
	cmd.Flags().IntVar(&up.Nodes, "nodes", 0, fmt.Sprintf("how many nodes, 1 to %d (default: 1, or as many as it has)", cluster.MaxNodes))
	schedules.addFlags(cmd)
	cmd.Flags().BoolVar(&up.Keep, "keep", false, "leave a cluster that failed standing")
	o.addNoWake(cmd)
	return cmd
}

func (o *options) resumeCommand() *cobra.Command {
	var port int
	cmd := &cobra.Command{
		Use:   "resume [NAME]",
		Short: "Start a paused cluster; nothing is lost",
		Args:  o.atMostOne, ValidArgsFunction: o.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := o.clusterName(args)
			return o.verb(cmd.Context(), name, "running again", func(ctx context.Context, op *cluster.Operator) (*cluster.Access, error) {
				access, err := op.Resume(ctx, name, port)
				return &access, err
			})
		},
	}
	cmd.Flags().IntVar(&port, "port", 0, "port of this machine for the API server from now on (default: the one that it had)")
	o.addNoWake(cmd)
	return cmd
}

func (o *options) pauseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "pause [NAME]",
		Short: "Delete every container group of a cluster and keep its data",
		Args:  o.atMostOne, ValidArgsFunction: o.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := o.clusterName(args)
			return o.verb(cmd.Context(), name, "paused", func(ctx context.Context, op *cluster.Operator) (*cluster.Access, error) {
				return nil, op.Pause(ctx, name)
			})
		},
	}
}

func (o *options) downCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "down [NAME]",
		Short: "Remove a cluster with all its data",
		Args:  o.atMostOne, ValidArgsFunction: o.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error { return o.down(cmd.Context(), o.clusterName(args), yes) },
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (o *options) down(ctx context.Context, name string, yes bool) error {
	exists, err := o.exists(ctx, name)
	if err != nil {
		return err
	}
	if !exists {
		fmt.Fprintf(o.streams.Err, "Cluster %s does not exist: nothing to remove.\n", name)
		return o.forget(name)
	}
	if err := o.confirm(ctx, name, yes); err != nil {
		return err
	}
	return o.verb(ctx, name, "removed", func(ctx context.Context, op *cluster.Operator) (*cluster.Access, error) {
		if err := op.Down(ctx, name); err != nil {
			return nil, err
		}
		return nil, o.forget(name)
	})
}

// exists is bounded by itself, since the user may think about the question
// that follows it for as long as he likes.
func (o *options) exists(ctx context.Context, name string) (exists bool, err error) {
	err = o.ask(ctx, func(ctx context.Context, op *cluster.Operator) error {
		exists, err = op.Exists(ctx, name)
		return err
	})
	return exists, err
}

// confirm asks on a terminal; elsewhere, and where the question would not be
// seen, --yes must say it.
func (o *options) confirm(ctx context.Context, name string, yes bool) error {
	if yes {
		return nil
	}
	in, ok := o.streams.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) || o.quiet {
		return fault.New(fault.Usage, "add --yes", "removing cluster %s loses all its data, and there is no terminal to ask", name)
	}
	fmt.Fprintf(o.streams.Err, "Remove cluster %s with all its data? [y/N] ", name)
	answer, err := readLine(ctx, in)
	if err != nil {
		fmt.Fprintln(o.streams.Err)
		return fmt.Errorf("read answer: %w", err)
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return fault.New(fault.Failed, "", "nothing was removed")
	}
	return nil
}

// readLine reads a line, or ends with ctx: then it leaves behind the read that
// nothing can end, in a program that is about to.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(in).ReadString('\n')
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		if l.err == io.EOF {
			l.err = nil
		}
		return l.text, l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// verb runs one of the verbs under the cluster's lock and a time limit, shows
// its steps, and says how it ended.
func (o *options) verb(ctx context.Context, name, state string,
	do func(context.Context, *cluster.Operator) (*cluster.Access, error)) error {
	start := time.Now()
	ctx, cancel := o.withTimeout(ctx)
	defer cancel()
	progress := o.newProgress()
	access, err := o.locked(ctx, name, state, progress, do)
	progress.end()
	if err != nil {
		return err
	}
	if access != nil {
		if err := o.merge(*access, false); err != nil {
			return err
		}
	}
	return o.ended(name, state, access, time.Since(start))
}

func (o *options) locked(ctx context.Context, name, state string, progress progress,
	do func(context.Context, *cluster.Operator) (*cluster.Access, error)) (*cluster.Access, error) {
	if (state == "ready" || state == "restored") && o.cloud == cloudLocal {
		if err := o.startLocal(ctx, progress); err != nil {
			return nil, err
		}
	}
	op, err := o.operator(ctx, progress)
	if err != nil {
		return nil, err
	}
	unlock, err := o.lock(name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return do(ctx, op)
}

// startLocal starts the embedded cloud if it does not run. It is a step of up
// that comes before there is anything to connect to.
func (o *options) startLocal(ctx context.Context, progress progress) error {
	const title = "Cloud"
	progress.Start(title, 0, 0)
	start := time.Now()
	_, err := o.startCloud(ctx)
	progress.Done(title, 0, 0, "local, data in "+o.home, time.Since(start), err)
	return err
}

func (o *options) startCloud(ctx context.Context) (cloud.Config, error) {
	if o.build.Executable == "" {
		return cloud.Config{}, errors.New("start the local cloud: this program does not know where it is")
	}
	if _, err := isolation.ParseMode(o.isolation); err != nil {
		return cloud.Config{}, fault.New(fault.Usage, "use --isolation auto, userns or none", "%w", err)
	}
	conf, err := embedded.Start(ctx, o.embedded(), []string{o.build.Executable, "cloud", "run", "--home", o.home, "--isolation", o.isolation})
	return conf, explainLocal(err)
}

// ended prints the last line of a verb.
func (o *options) ended(name, state string, access *cluster.Access, took time.Duration) error {
	if o.output != "text" {
		result := map[string]any{"cluster": name, "state": state, "ms": took.Milliseconds(), "access": access}
		return o.print(result, []string{name}, nil)
	}
	fmt.Fprintf(o.streams.Err, "\nCluster %s is %s after %.1f s.", name, state, took.Seconds())
	switch {
	case access != nil:
		fmt.Fprintf(o.streams.Err, " Context %q is now current.\n  kubectl get pods -A          frankenetes pause %s\n", access.Context, name)
	case state == "paused":
		fmt.Fprintf(o.streams.Err, "\n  frankenetes resume %s\n", name)
	default:
		fmt.Fprintln(o.streams.Err)
	}
	return nil
}

// aliases are the verbs as kind and k3d have them.
func (o *options) aliases() []*cobra.Command {
	group := func(use string, runnable bool, make func() *cobra.Command) *cobra.Command {
		target := make()
		sub := make()
		sub.Use = "cluster [NAME]"
		cmd := &cobra.Command{
			Use: use, Short: "The same as " + target.Name(), Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		}
		if runnable {
			target.Use, target.Short = use+" [NAME]", cmd.Short
			cmd = target
		}
		cmd.AddCommand(sub)
		return cmd
	}
	return []*cobra.Command{
		group("create", false, o.upCommand), group("delete", false, o.downCommand),
		group("start", true, o.resumeCommand), group("stop", true, o.pauseCommand),
	}
}
