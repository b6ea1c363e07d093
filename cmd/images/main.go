// Command images writes the container images of Frankenetes, made of the
// binaries of one build, as an OCI layout. It is part of the build.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"frankenetes.dev/images"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the binaries")
	kubernetes := flag.String("kubernetes", "", "version of Kubernetes, the tag of hyperkube")
	busybox := flag.String("busybox", "/bin/busybox", "a static busybox, for the test image")
	flag.Parse()
	if *kubernetes == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := images.Write(filepath.Join(*bin, "images"), images.All(*bin, *kubernetes, *busybox)); err != nil {
		fmt.Fprintf(os.Stderr, "images: %v\n", err)
		os.Exit(1)
	}
}
