package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"frankenetes.dev/cluster"
	"frankenetes.dev/fault"
)

func (o *options) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [NAME]",
		Short: "Show what there is of a cluster",
		Args:  o.atMostOne, ValidArgsFunction: o.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, op *cluster.Operator) error {
				status, err := op.Status(ctx, o.clusterName(args))
				if err != nil {
					return err
				}
				return o.print(status, []string{status.Name}, func(w io.Writer) { writeStatus(w, status) })
			})
		},
	}
}

func writeStatus(w io.Writer, s cluster.Status) {
	ready := "ready"
	if !s.Ready {
		ready = "not ready"
	}
	if s.State == cluster.Paused {
		ready = "nothing runs"
	}
	fmt.Fprintf(w, "%s\t%s, %s\tKubernetes %s in %s\t%s\n\n", s.Name, s.State, ready, s.Kubernetes, s.Location, s.Server)
	fmt.Fprintln(w, "COMPONENT\tSTATE\tRESTARTS\tAGE\tADDRESS")
	for _, c := range s.Components {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", c.Name, c.State, c.Restarts, age(c.Since), c.Address)
	}
	fmt.Fprintf(w, "\npods: %d\n", s.Pods)
	switch {
	case s.Sleep == nil:
	case s.Sleep.Falling:
		fmt.Fprintln(w, "it is falling asleep")
	default:
		fmt.Fprintf(w, "pauses itself at %s if nobody uses it; last used %s\n",
			s.Sleep.At.Local().Format(time.TimeOnly), s.Sleep.Used.Local().Format(time.TimeOnly))
	}
}

func age(since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	return time.Since(since).Round(time.Second).String()
}

func (o *options) listCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the clusters of the cloud",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.ask(cmd.Context(), func(ctx context.Context, op *cluster.Operator) error {
				list, err := op.List(ctx)
				if err != nil {
					return err
				}
				return o.print(list, names(list), func(w io.Writer) { writeList(w, list) })
			})
		},
	}
}

func writeList(w io.Writer, list []cluster.Listed) {
	fmt.Fprintln(w, "NAME\tSTATE\tGROUPS\tLOCATION")
	for _, l := range list {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", l.Name, l.State, l.Groups, l.Location)
	}
}

func names(list []cluster.Listed) []string {
	var all []string
	for _, l := range list {
		all = append(all, l.Name)
	}
	return all
}

func (o *options) logsCommand() *cobra.Command {
	var (
		tail   int32
		follow bool
	)
	cmd := &cobra.Command{
		Use:       "logs COMPONENT",
		Short:     "Print the output of a component: " + strings.Join(cluster.Components(), ", "),
		ValidArgs: cluster.Components(),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fault.New(fault.Usage, "such as: frankenetes logs apiserver", "logs takes the name of one component")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if tail < 0 {
				return fault.New(fault.Usage, "leave --tail out to get all", "--tail takes a number of lines, not %d", tail)
			}
			if follow {
				return o.follow(cmd.Context(), args[0], tail)
			}
			return o.logs(cmd.Context(), args[0], tail)
		},
	}
	cmd.Flags().Int32Var(&tail, "tail", 0, "only the last lines (default: all that the cloud keeps)")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes, until Ctrl-C or the component's end")
	return cmd
}

func (o *options) logs(ctx context.Context, component string, tail int32) error {
	ctx, cancel := o.withTimeout(ctx)
	defer cancel()
	op, err := o.operator(ctx, nil)
	if err != nil {
		return err
	}
	text, err := op.Logs(ctx, o.name, component, tail)
	if err != nil {
		return err
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, err = io.WriteString(o.streams.Out, text)
	return err
}

// follow has no time limit: Ctrl-C is how it is meant to end, and needs no word.
func (o *options) follow(ctx context.Context, component string, tail int32) error {
	op, err := o.operator(ctx, nil)
	if err != nil {
		return err
	}
	err = op.Follow(ctx, o.name, component, tail, o.streams.Out)
	if ctx.Err() != nil {
		return fault.New(fault.Interrupted, "", "%w", errSilent)
	}
	return err
}

func (o *options) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the versions", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"frankenetes": o.build.Version, "kubernetes": o.build.Kubernetes}
			return o.print(v, []string{o.build.Version}, func(w io.Writer) {
				fmt.Fprintf(w, "frankenetes\t%s\nkubernetes\t%s\n", o.build.Version, o.build.Kubernetes)
			})
		},
	}
}

// print writes a result in the format that was asked for.
func (o *options) print(v any, names []string, text func(io.Writer)) error {
	out := o.streams.Out
	switch o.output {
	case "json":
		return json.NewEncoder(out).Encode(v)
	case "yaml":
		data, err := yaml.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode result: %w", err)
		}
		_, err = out.Write(data)
		return err
	case "name":
		for _, n := range names {
			fmt.Fprintln(out, n)
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 4, 3, ' ', 0)
	text(w)
	return w.Flush()
}

// completeNames offers the clusters that exist to a shell.
func (o *options) completeNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
	defer cancel()
	op, err := o.operator(ctx, nil)
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, _ := op.List(ctx)
	return names(list), cobra.ShellCompDirectiveNoFileComp
}
