// Command run runs Kubernetes' conformance suite against a cluster of its own
// on an embedded cloud of its own, and removes both. It is what `make
// conformance` calls.
//
// Results are kept as they come, by the build that they are of: a run that was
// interrupted goes on where it was when it is called again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"frankenetes.dev/test/conformance"
)

// options are the flags.
type options struct {
	bin, home, results, document string
	classes, focus               string
	procs, nodes                 int
	again, keep, report          bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory of the binaries; those of the suite are in conformance/ below it")
	flag.StringVar(&o.home, "home", "/var/lib/frankenetes-conformance", "data of the embedded cloud; it is removed at the end")
	flag.StringVar(&o.results, "results", ".conformance", "directory of the results")
	flag.StringVar(&o.document, "document", "docs/conformance.md", "what is written when all tests were asked for")
	flag.StringVar(&o.classes, "class", "", "classes of tests to run, such as 1,4a (default: all)")
	flag.StringVar(&o.focus, "focus", "", "run only tests in whose names this regular expression is found")
	flag.IntVar(&o.procs, "procs", 4, "tests at a time")
	flag.IntVar(&o.nodes, "nodes", 2, "nodes of the cluster")
	flag.BoolVar(&o.again, "again", false, "run tests again that have passed")
	flag.BoolVar(&o.keep, "keep", false, "leave cloud and cluster at the end")
	flag.BoolVar(&o.report, "report", false, "run nothing: tell of the results that there are, and write the document")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := o.run(ctx)
	if ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "conformance: interrupted; call it again to go on")
		os.Exit(130)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "conformance: %v\n", err)
		os.Exit(1)
	}
}

// run runs what has not passed yet and tells of all that was asked for.
func (o options) run(ctx context.Context) error {
	filter, err := o.filter()
	if err != nil {
		return err
	}
	all, err := conformance.Tests()
	if err != nil {
		return err
	}
	cluster := cluster{bin: o.bin, home: o.home, nodes: o.nodes}
	if err := cluster.limitNodes(ctx); err != nil {
		return err
	}
	build, err := identify(ctx, o.bin, cluster.nodes)
	if err != nil {
		return err
	}
	results, err := conformance.OpenResults(filepath.Join(o.results, build.key(), "results.jsonl"))
	if err != nil {
		return err
	}
	defer results.Close()

	chosen := filter.Select(all)
	if !o.report {
		err = o.test(ctx, &cluster, &session{results: results, output: filepath.Join(o.results, build.key())}, all, chosen)
	}
	summary := conformance.Summarize(chosen, results)
	if err := errors.Join(err, summary.WriteTable(os.Stdout)); err != nil {
		return err // the document is of runs that came to their end
	}
	return o.write(filter, build, summary)
}

// write writes the document, unless only some tests were asked for.
func (o options) write(filter conformance.Filter, build build, summary conformance.Summary) error {
	if !filter.All() {
		fmt.Printf("\n%s is left as it is: only some of the tests were asked for.\n", o.document)
		return nil
	}
	reasons, err := conformance.KnownReasons()
	if err != nil {
		return err
	}
	subject := conformance.Subject{Version: build.version, Kubernetes: build.kubernetes, Nodes: build.nodes}
	if err := summary.WriteDocument(o.document, subject, reasons); err != nil {
		return err
	}
	fmt.Printf("\n%s is written.\n", o.document)
	return nil
}

func (o options) filter() (conformance.Filter, error) {
	classes, err := conformance.ParseClasses(o.classes)
	if err != nil {
		return conformance.Filter{}, err
	}
	filter := conformance.Filter{Classes: classes}
	if o.focus != "" {
		if filter.Focus, err = regexp.Compile(o.focus); err != nil {
			return conformance.Filter{}, fmt.Errorf("read -focus: %w", err)
		}
	}
	return filter, nil
}

// test runs those of the chosen tests that have not passed, on a new cluster.
func (o options) test(ctx context.Context, c *cluster, s *session, all, chosen []conformance.Test) (err error) {
	if !o.again {
		chosen = s.notPassed(chosen)
	}
	if len(chosen) == 0 {
		fmt.Fprintln(os.Stderr, "All of them have passed already.")
		return nil
	}
	programs, err := filepath.Abs(filepath.Join(o.bin, "conformance"))
	if err != nil {
		return err
	}
	if err := conformance.CheckSuite(ctx, programs, all); err != nil {
		return err
	}
	if !o.keep {
		// Also when ctx has ended: nothing is to be left.
		defer func() {
			if c.claimed {
				err = errors.Join(err, c.down(context.WithoutCancel(ctx)))
			}
		}()
	}
	if err := c.up(ctx); err != nil {
		return err
	}
	return s.run(ctx, conformance.Suite{Programs: programs, Kubeconfig: c.kubeconfig(), Nodes: c.nodes}, chosen, o.procs)
}
