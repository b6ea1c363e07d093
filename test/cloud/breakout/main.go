// Command breakout tries the known ways out of a container, and says of each
// whether it led anywhere. It exists for the test of the cloud's isolation,
// which runs it in a container group, where nothing may succeed, and on the
// host as root, where what can be shown without harm has to: an attempt that
// can succeed nowhere proves nothing. No attempt changes anything outside of
// what it was run in: what would is only opened, or set to what it is.
//
// With -nested it tries all that from namespaces of its own making, in which it
// has every capability. Called as "breakout build", it does in such namespaces
// what they are for, and says what of that does not work. "breakout catch"
// waits for the container runtime to run a program in the container, and tries
// to write to the runtime's own file; "breakout forks" starts processes until
// it is stopped.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Result is how an attempt ended.
type Result struct {
	Name string
	// Out is whether it led out of the container.
	Out bool
	// Said is what happened.
	Said string
}

// target is what the attempts are aimed at.
type target struct {
	marker    string // a file of the host
	pid       int    // a process of the host
	addresses string // TCP addresses of the host, with commas
	files     string // files of the host that give power over it, with commas
	url       string // of the cloud's resource manager
	metadata  bool   // whether to ask the metadata endpoint
}

// attempt returns what it found out, or an error when the way is barred.
type attempt struct {
	name string
	try  func(target) (string, error)
}

func main() {
	var t target
	flag.StringVar(&t.marker, "marker", "/nothing", "a `file` of the host")
	flag.IntVar(&t.pid, "pid", 1<<22, "a `process` of the host")
	flag.StringVar(&t.addresses, "addresses", "", "`host:port,...` on which the host listens")
	flag.StringVar(&t.files, "files", "", "`file,...` of the host")
	flag.StringVar(&t.url, "url", "", "`URL` of the resource manager")
	flag.BoolVar(&t.metadata, "metadata", false, "ask the metadata endpoint")
	inside := flag.Bool("nested", false, "try from namespaces of one's own")
	flag.Parse()
	switch flag.Arg(0) {
	case "build":
		build()
		return
	case "forks":
		forks()
		return
	case "catch":
		catch()
		return
	case "inside":
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	if *inside && flag.NArg() == 0 {
		again("inside")
		return
	}
	var results []Result
	all := append(append(kernelAttempts(), fileAttempts()...), networkAttempts()...)
	for _, a := range all {
		said, err := a.try(t)
		if err != nil {
			said = err.Error()
		}
		results = append(results, Result{a.name, err == nil, said})
	}
	print(results)
}

// again runs this program, with the same flags, in namespaces of its own.
func again(as string) {
	cmd := exec.Command("/proc/self/exe", append(os.Args[1:], as)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	own := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP,
		UidMappings: own, GidMappings: own,
	}
	if err := cmd.Run(); err != nil {
		print([]Result{{Name: "namespaces", Said: err.Error()}})
	}
}

func print(results []Result) {
	data, err := json.Marshal(results)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(data))
}
