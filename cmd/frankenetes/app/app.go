// Package app is the command line: it turns words into calls of package
// cluster, and what comes back into lines, JSON and exit codes. It exists
// apart from main so that tests can run the whole program in their process.
//
// Progress and errors go to standard error, results to standard output, so
// that a script can use the one without the other.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"frankenetes.dev/embedded/limits"
	"frankenetes.dev/fault"
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Build is what the build knows.
type Build struct {
	// Version is Frankenetes', Kubernetes that of the components.
	Version, Kubernetes string
	// Executable is this program's file, which is also the local cloud's. A
	// test has none: it must never start itself.
	Executable string
}

// DefaultName is the cluster that a command means when it is told no other.
const DefaultName = "frankenetes"

// defaultHome is the data directory of the local cloud.
const defaultHome = "/var/lib/frankenetes"

// options are the flags that every command has.
type options struct {
	build   Build
	streams Streams

	name    string
	output  string
	quiet   bool
	timeout time.Duration
	cloud   string
	home    string
	// asleep is whether the kubeconfigs that are written leave paused clusters
	// alone.
	asleep bool
	// isolation is how the local cloud, if it is started, keeps groups apart.
	isolation string
	// limits are what the local cloud is told to allow; nil leaves them alone.
	limits *limits.Limits
}

// Run runs the command line and returns its exit code. SIGINT and SIGTERM
// cancel what runs; a second one ends the program at once.
func Run(ctx context.Context, build Build, streams Streams, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	interrupted := context.AfterFunc(ctx, stop)
	defer interrupted()

	o := &options{build: build, streams: streams, isolation: os.Getenv("FRANKENETES_ISOLATION")}
	root := newRoot(o)
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	return o.report(ctx, root.ExecuteContext(ctx))
}

func newRoot(o *options) *cobra.Command {
	root := &cobra.Command{
		Use:   "frankenetes",
		Short: "Kubernetes clusters made of nothing but container groups",
		Long: "Frankenetes runs a whole Kubernetes cluster out of container groups: on Azure Container\n" +
			"Instances, or on a cloud of its own on this machine. A paused cluster costs nothing.",
		SilenceErrors: true, SilenceUsage: true,
		Version: o.build.Version,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if err := o.checkFlags(); err != nil {
				return err
			}
			if o.quiet {
				o.streams.Err = io.Discard
			}
			return nil
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fault.New(fault.Usage, "`"+cmd.CommandPath()+" --help` lists the flags", "%w", err)
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&o.name, "name", "n", DefaultName, "name of the cluster")
	flags.StringVarP(&o.output, "output", "o", "text", "text, json, yaml or name")
	flags.BoolVarP(&o.quiet, "quiet", "q", false, "print results only, no progress")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up after this long")
	flags.StringVar(&o.cloud, "cloud", env("FRANKENETES_CLOUD", cloudLocal), "local or azure ($FRANKENETES_CLOUD)")
	flags.StringVar(&o.home, "home", env("FRANKENETES_HOME", defaultHome), "data of the local cloud ($FRANKENETES_HOME)")
	o.completeFlags(root)
	root.AddCommand(
		o.upCommand(), o.pauseCommand(), o.resumeCommand(), o.downCommand(),
		o.statusCommand(), o.listCommand(), o.logsCommand(), o.backupCommand(), o.restoreCommand(),
		o.kubeconfigCommand(), o.credentialCommand(), o.kubectlCommand(), o.cloudCommand(), o.imageCommand(), o.versionCommand(),
	)
	root.AddCommand(o.aliases()...)
	return root
}

// formats are the values of --output.
func formats() []string { return []string{"text", "json", "yaml", "name"} }

// checkFlags looks at the flags that every command has, but for the cloud:
// not every command needs one.
func (o *options) checkFlags() error {
	switch {
	case !slices.Contains(formats(), o.output):
		return fault.New(fault.Usage, "use -o text, json, yaml or name", "unknown output format %q", o.output)
	case o.timeout <= 0:
		return fault.New(fault.Usage, "use a duration such as --timeout 90s", "--timeout %s leaves no time at all", o.timeout)
	}
	return nil
}

// completeFlags offers the values of the flags that every command has.
func (o *options) completeFlags(root *cobra.Command) {
	fixed := func(values ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
	}
	// An error means that there is no such flag, which a test would show.
	_ = root.RegisterFlagCompletionFunc("output", fixed(formats()...))
	_ = root.RegisterFlagCompletionFunc("cloud", fixed(cloudLocal, cloudAzure))
	_ = root.RegisterFlagCompletionFunc("timeout", cobra.NoFileCompletions)
	_ = root.RegisterFlagCompletionFunc("name", func(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return o.completeNames(cmd, nil, word)
	})
}

// report tells the user of an error, once, and returns the exit code.
func (o *options) report(ctx context.Context, err error) int {
	if err == nil {
		return 0
	}
	kind, hint := fault.KindOf(err), fault.HintOf(err)
	switch {
	case errors.Is(err, errSilent):
		return int(kind)
	case ctx.Err() != nil:
		fmt.Fprintln(o.streams.Err, "frankenetes: interrupted; call the same command again to go on")
		return fault.Interrupted
	case errors.Is(err, context.DeadlineExceeded):
		kind, hint = fault.Timeout, "give it more time with --timeout, or look at `frankenetes status`"
		err = fmt.Errorf("not done after %s: %w", o.timeout, err)
	case strings.HasPrefix(err.Error(), "unknown command"):
		said, _, _ := strings.Cut(err.Error(), "\n")
		_, of, _ := strings.Cut(said, " for ") // such as "frankenetes cloud"
		kind, hint = fault.Usage, "`"+strings.Trim(of, `"`)+" --help` lists the commands"
		err = errors.New(said)
	}
	// Errors that came together have a line each; here they are one.
	fmt.Fprintf(o.streams.Err, "frankenetes: %s\n", strings.ReplaceAll(err.Error(), "\n", "; "))
	for _, line := range fault.LogOf(err) {
		fmt.Fprintf(o.streams.Err, "  | %s\n", line)
	}
	if hint != "" {
		fmt.Fprintf(o.streams.Err, "hint: %s\n", hint)
	}
	return int(kind)
}

// withTimeout bounds one verb.
func (o *options) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, o.timeout)
}

// noArgs accepts no arguments, for commands that have no others below them.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fault.New(fault.Usage, "`"+cmd.CommandPath()+" --help` shows how", "%s takes no argument, not %q", cmd.Name(), strings.Join(args, " "))
	}
	return nil
}

// atMostOne accepts the name of a cluster, or none.
func (o *options) atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fault.New(fault.Usage, "`"+cmd.CommandPath()+" --help` shows how", "%s takes one name, not %q", cmd.Name(), args)
	}
	return nil
}

// clusterName is the cluster that a command is about.
func (o *options) clusterName(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return o.name
}
