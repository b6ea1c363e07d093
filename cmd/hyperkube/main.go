// Command hyperkube is every server of a cluster in one binary, chosen by the
// name it is called by, or by its first argument. It exists so that one image
// serves all five groups of a cluster: they share its code and its layer.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// applet is one of the programs; it gets its arguments and returns its exit code.
type applet func(args []string) int

// applets are the programs by name.
func applets() map[string]applet {
	all := map[string]applet{"etcd": etcd, "etcdutl": etcdutl, "kubectl": kubectl, "virtual-kubelet": virtualKubelet, "controllers": controllers}
	for name, command := range servers() {
		all[name] = command
	}
	return all
}

func main() {
	code, ok := run(os.Args)
	if !ok {
		fmt.Fprintf(os.Stderr, "hyperkube: call it by the name of one of these, or give it as first argument: %s\n", strings.Join(names(), ", "))
	}
	os.Exit(code)
}

// run finds the program and runs it; it reports false if there is no such one.
func run(argv []string) (code int, ok bool) {
	all := applets()
	if program, ok := all[filepath.Base(argv[0])]; ok {
		return program(argv[1:]), true
	}
	if len(argv) < 2 {
		return exitUsage, false
	}
	if argv[1] == "--version" || argv[1] == "version" {
		return printVersion(), true
	}
	program, ok := all[argv[1]]
	if !ok {
		fmt.Fprintf(os.Stderr, "hyperkube: there is no %q\n", argv[1])
		return exitUsage, false
	}
	// Cobra and etcd read the program's name and arguments from here.
	os.Args = argv[1:]
	return program(argv[2:]), true
}

// exitUsage is the exit code of a wrong command line.
const exitUsage = 2

func names() []string {
	var list []string
	for name := range applets() {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
