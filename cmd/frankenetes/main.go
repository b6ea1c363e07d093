// Command frankenetes runs Kubernetes clusters made of container groups, on
// Azure or on a cloud of its own on this machine.
package main

import (
	"context"
	"os"

	"frankenetes.dev/cmd/frankenetes/app"
)

// version and kubernetes are linked in by the build.
var (
	version    = "dev"
	kubernetes = "v0.0.0"
)

func main() {
	streams := app.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	// Without it only starting the local cloud fails, and says so.
	executable, _ := os.Executable()
	build := app.Build{Version: version, Kubernetes: kubernetes, Executable: executable}
	os.Exit(app.Run(context.Background(), build, streams, os.Args[1:]))
}
