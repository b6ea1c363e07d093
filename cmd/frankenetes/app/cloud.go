package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"frankenetes.dev/cloud"
	"frankenetes.dev/embedded"
	"frankenetes.dev/embedded/isolation"
	"frankenetes.dev/embedded/limits"
	"frankenetes.dev/fault"
)

// errSilent ends the program with its kind's exit code and no further word.
var errSilent = errors.New("the command has said what there is to say")

func (o *options) cloudCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cloud",
		Short: "The local cloud: start, stop, status, logs, install, env, principal",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(o.cloudStart(), o.cloudStop(), o.cloudStatus(), o.cloudLogs(), o.cloudRun(), o.cloudInstall(), o.cloudUninstall(), o.cloudEnv(), o.cloudPrincipal())
	return cmd
}

func (o *options) cloudStart() *cobra.Command {
	var words []string
	cmd := &cobra.Command{
		Use: "start", Short: "Start it, with everything that should run", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			if err := o.setLimits(cmd, words); err != nil {
				return err
			}
			conf, err := o.startCloud(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintf(o.streams.Err, "The local cloud runs: %s\n", conf.ResourceManager)
			if status, err := embedded.Stat(ctx, o.embedded()); err == nil {
				o.warn(status)
			}
			return nil
		},
	}
	o.isolationFlag(cmd)
	cmd.Flags().StringArrayVar(&words, "limit", nil, "limits from now on, each with a flag of its own: groups=100, cores=100, capacity=8, "+
		"creates=100/5m,300/1h, deletes=..., azure (those of a new subscription), none (default: as before)")
	return cmd
}

// warn tells in what a cloud that had been running is not what was asked for.
func (o *options) warn(s embedded.Status) {
	if asked := isolation.Mode(o.isolation); asked != "" && asked != isolation.Auto && asked != s.Isolation {
		fmt.Fprintf(o.streams.Err, "It goes on with the isolation that it was started with, %s; `frankenetes cloud stop` and `start` change that.\n", s.Isolation)
	}
	if s.Outdated {
		fmt.Fprintln(o.streams.Err, outdated)
	}
}

// setLimits takes the limits of a command line, if it has any.
func (o *options) setLimits(cmd *cobra.Command, words []string) error {
	if !cmd.Flags().Changed("limit") {
		return nil
	}
	l, err := limits.Parse(words)
	if err != nil {
		return fault.New(fault.Usage, "such as: --limit groups=100 --limit creates=100/5m,300/1h", "%w", err)
	}
	o.limits = &l
	return nil
}

// isolationFlag is for the commands that start the local cloud by name; those
// that start it in passing have the variable.
func (o *options) isolationFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.isolation, "isolation", o.isolation,
		"keep groups from the host by user namespaces: userns, none, or auto, as the host can ($FRANKENETES_ISOLATION)")
	_ = cmd.RegisterFlagCompletionFunc("isolation", cobra.FixedCompletions(isolation.Modes(), cobra.ShellCompDirectiveNoFileComp))
}

func (o *options) cloudStop() *cobra.Command {
	return &cobra.Command{
		Use: "stop", Short: "Stop it with all that runs in it; the next start brings all back", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			if err := embedded.Stop(ctx, o.embedded()); err != nil {
				return explainLocal(err)
			}
			fmt.Fprintln(o.streams.Err, "The local cloud has stopped.")
			return nil
		},
	}
}

func (o *options) cloudStatus() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show whether it runs", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := o.withTimeout(cmd.Context())
			defer cancel()
			status, err := embedded.Stat(ctx, o.embedded())
			if errors.Is(err, embedded.ErrNotRunning) {
				fmt.Fprintln(o.streams.Err, "The local cloud does not run.")
				return fault.New(fault.Unavailable, "", "%w", errSilent)
			}
			if err != nil {
				return explainLocal(err)
			}
			return o.print(status, []string{cloudLocal}, func(w io.Writer) { writeCloud(w, o.home, status) })
		},
	}
}

func (o *options) cloudLogs() *cobra.Command {
	return &cobra.Command{
		Use: "logs", Short: "Print what it says", Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := os.Open(filepath.Join(o.home, "cloud.log"))
			if os.IsNotExist(err) {
				err = fmt.Errorf("read log of the local cloud: %w", cloud.ErrNoConfig)
			}
			if err != nil {
				return explainLocal(err)
			}
			defer f.Close()
			_, err = io.Copy(o.streams.Out, f)
			return err
		},
	}
}

// cloudRun is the daemon itself; start calls it.
func (o *options) cloudRun() *cobra.Command {
	cmd := &cobra.Command{
		Use: "run", Short: "Run it in the foreground", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts := o.embedded()
			opts.Log = slog.New(slog.NewTextHandler(o.streams.Err, nil))
			ctx, end := context.WithCancel(cmd.Context())
			var beside sync.WaitGroup
			err := embedded.Run(ctx, opts, func(conf cloud.Config) {
				opts.Log.Info("the local cloud is ready", "endpoint", conf.ResourceManager)
				// Where no systemd has started us, nobody is told.
				if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
					opts.Log.Warn("systemd was not told that the cloud is ready", "error", err)
				}
				beside.Go(func() { o.keepHours(ctx, conf, opts.Log) })
			})
			end()
			beside.Wait()
			return explainLocal(err)
		},
	}
	o.isolationFlag(cmd)
	return cmd
}

// outdated is what is said of a cloud that goes on with the program it was
// started with.
const outdated = "It runs an older build of frankenetes; `frankenetes cloud stop` and `start` change that."

func writeCloud(w io.Writer, home string, s embedded.Status) {
	fmt.Fprintf(w, "state\trunning, process %d\n", s.PID)
	fmt.Fprintf(w, "since\t%s\n", s.Since.Format(time.RFC3339))
	fmt.Fprintf(w, "endpoint\t%s\n", s.Endpoint)
	fmt.Fprintf(w, "containerd\t%s\n", s.Containerd)
	fmt.Fprintf(w, "isolation\t%s\n", s.Isolation)
	fmt.Fprintf(w, "groups\t%d\n", s.Groups)
	if len(s.Limits) > 0 {
		fmt.Fprintf(w, "limits\t%s\n", strings.Join(s.Limits, " "))
	}
	fmt.Fprintf(w, "data\t%s\n", home)
	if s.Outdated {
		fmt.Fprintf(w, "\n%s\n", outdated)
	}
}
