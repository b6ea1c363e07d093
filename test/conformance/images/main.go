// Command images assembles the container images that Kubernetes' conformance
// suite uses, under the names that it uses: from programs built of the suite's
// own sources, and from Debian's packages where a shell and tools are wanted.
// Nothing is taken from a registry. It is part of `make conformance`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"frankenetes.dev/images"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the binaries; those of the suite are in conformance/ below it")
	kubernetes := flag.String("kubernetes", "", "directory of the sources of Kubernetes")
	flag.Parse()
	if *kubernetes == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := write(context.Background(), *bin, *kubernetes); err != nil {
		fmt.Fprintf(os.Stderr, "images: %v\n", err)
		os.Exit(1)
	}
}

func write(ctx context.Context, bin, kubernetes string) error {
	programs := filepath.Join(bin, "conformance")
	debian, err := newApt(filepath.Join(programs, "debian"))
	if err != nil {
		return err
	}
	busybox, err := buildBusybox(ctx, debian)
	if err != nil {
		return err
	}
	applets, err := appletsOf(ctx, busybox)
	if err != nil {
		return err
	}
	all, err := sources{ctx, bin, programs, kubernetes, busybox, applets, debian}.all()
	if err != nil {
		return err
	}
	return images.Write(filepath.Join(programs, "images"), all)
}
