package main

import (
	"fmt"
	"os"
	_ "time/tzdata" // CronJobs have time zones, and the image no files for them

	"github.com/spf13/cobra"
	utl "go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // the version metric
	"k8s.io/component-base/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// servers are Kubernetes' own programs, made only when one is called.
func servers() map[string]applet {
	server := func(command func() *cobra.Command) applet {
		return func(args []string) int {
			c := command()
			c.SetArgs(args)
			return cli.Run(c)
		}
	}
	return map[string]applet{
		"kube-apiserver":          server(func() *cobra.Command { return apiserver.NewAPIServerCommand() }),
		"kube-controller-manager": server(func() *cobra.Command { return controllermanager.NewControllerManagerCommand() }),
		"kube-scheduler":          server(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
		"kube-proxy":              server(func() *cobra.Command { return proxy.NewProxyCommand() }),
	}
}

// etcd runs etcd, which exits by itself when it fails.
func etcd(args []string) int {
	etcdmain.Main(append([]string{"etcd"}, args...))
	return 0
}

// etcdutl works on stores on which no etcd runs.
func etcdutl(args []string) int {
	root := &cobra.Command{Use: "etcdutl", Short: "Work on the data of an etcd that does not run"}
	root.PersistentFlags().StringVarP(&utl.OutputFormat, "write-out", "w", "simple", "fields, json, protobuf, simple or table")
	root.AddCommand(utl.NewSnapshotCommand(), utl.NewHashKVCommand(), utl.NewVersionCommand())
	root.SetArgs(args)
	return cli.Run(root)
}

func printVersion() int {
	fmt.Fprintf(os.Stdout, "Kubernetes %s\n", version.Get().GitVersion)
	return 0
}
