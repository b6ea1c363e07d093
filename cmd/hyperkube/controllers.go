package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"frankenetes.dev/node/approver"
)

// controllers runs Kubernetes' controller manager, whose arguments come after
// "--", and in the same process, but as somebody else, the approver of the
// nodes' serving certificates: a process of its own would take a second and
// fifty megabytes to do nothing most of the time.
func controllers(args []string) int {
	f := flag.NewFlagSet("controllers", flag.ContinueOnError)
	kubeconfig := f.String("approver-kubeconfig", "", "file that says how the approver reaches the API server")
	names := f.String("serving-names", "", "file with the DNS name of each node that there may be")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exitUsage
	}
	a, err := newApprover(*kubeconfig, *names)
	if err != nil {
		fmt.Fprintf(os.Stderr, "controllers: %v\n", err)
		return exitUsage
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := a.Run(ctx); err != nil {
			a.Log.Error("no serving certificates are approved", "error", err)
		}
	})
	code := servers()["kube-controller-manager"](f.Args())
	cancel()
	work.Wait()
	return code
}

func newApprover(kubeconfig, names string) (*approver.Approver, error) {
	a := &approver.Approver{Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	}}
	data, err := os.ReadFile(names)
	if err != nil {
		return nil, fmt.Errorf("read names of nodes: %w", err)
	}
	if err := json.Unmarshal(data, &a.Names); err != nil {
		return nil, fmt.Errorf("read names of nodes: %w", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig of the approver: %w", err)
	}
	config.UserAgent = "frankenetes-approver"
	a.Client, err = kubernetes.NewForConfig(config)
	return a, err
}
