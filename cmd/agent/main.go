// Command agent is PID 1 of the containers of a pod; package agent says why.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"

	"frankenetes.dev/agent"
	"frankenetes.dev/agent/process"
	"frankenetes.dev/agent/rootless"
	"golang.org/x/sys/unix"
)

// version is set by the linker.
var version = "dev"

const usage = `usage:
  agent install DIR                               copy this program to DIR/agent, and prepare DIR
  agent run [-root DIR] [-volumes DIR] [-trial] [-keeper]
                                                  be a container's agent
  agent version                                   say which version this is
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	command := ""
	if len(args) > 0 {
		command, args = args[0], args[1:]
	}
	var err error
	switch {
	case command == "install" && len(args) == 1:
		err = agent.Install(args[0])
	case command == "run":
		err = serve(args, stderr)
	case rootless.IsStage(command) && len(args) == 0:
		beSmall()
		err = agent.Stages(slog.New(slog.NewTextHandler(stderr, nil))).Run(command)
	case command == "version" && len(args) == 0:
		fmt.Fprintln(stdout, version)
	default:
		fmt.Fprint(stderr, usage)
		return 2
	}
	if err != nil {
		fmt.Fprintln(stderr, "agent:", err)
		return 1
	}
	return 0
}

// serve is an agent's life, from reading its environment to SIGTERM.
func serve(args []string, stderr io.Writer) error {
	beSmall()
	cfg, err := agent.FromEnvironment()
	flags := flag.NewFlagSet("agent run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&cfg.Root, "root", cfg.Root, "directory of logs")
	flags.StringVar(&cfg.Volumes, "volumes", cfg.Volumes, "directory of the pod's volumes")
	flags.BoolVar(&cfg.Trial, "trial", false, "find out whether processes can have namespaces of their own")
	flags.BoolVar(&cfg.Keeper, "keeper", false, "be ready for volumes in memory, if they can")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	if err := agent.EraseEnvironment(); err != nil {
		log.Warn("the token, which is good only once, stays visible in this container", "error", err)
	}
	// The key in our memory is not for the processes that we start.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hide own memory: %w", err)
	}
	if err := process.Adopt(); err != nil {
		return err
	}
	cfg.Log = log
	cfg.Version = version
	cfg.Reaper = process.NewReaper()

	ctx, end := context.WithCancel(context.Background())
	defer end()
	hurry := make(chan struct{})
	cfg.Hurry = hurry
	stop := onSignals(end, sync.OnceFunc(func() { close(hurry) }))
	defer stop()
	reaping, stopReaping := context.WithCancel(context.Background())
	var reaper sync.WaitGroup
	reaper.Go(func() { cfg.Reaper.Run(reaping) })
	defer reaper.Wait()
	defer stopReaping()
	return agent.Run(ctx, cfg)
}

// onSignals calls first on SIGTERM or SIGINT, and again on the next ones. It
// returns what ends that.
func onSignals(first, again func()) (stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		act := first
		for range signals {
			act()
			act = again
		}
	})
	return func() {
		signal.Stop(signals)
		close(signals)
		watcher.Wait()
	}
}

// beSmall trades speed that nobody needs for memory that the pod's processes
// can use: every container has an agent.
func beSmall() {
	runtime.GOMAXPROCS(min(2, runtime.GOMAXPROCS(0)))
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(32 << 20)
}
