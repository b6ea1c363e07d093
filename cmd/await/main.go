// Command await runs a program as soon as a server that it needs can be
// connected to. The groups of a cluster are created side by side; a component
// that starts before the one that it needs would try again only after pauses
// of its own choosing, which are seconds.
//
//	await HOST:PORT PROGRAM ARG...
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	// every is the pause between two tries, attempt how long one may take.
	every   = 20 * time.Millisecond
	attempt = time.Second
	// atMost is when the program is started in any case: it will say better
	// than we could what is wrong.
	atMost = time.Minute
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: await HOST:PORT PROGRAM ARG...")
		os.Exit(2)
	}
	// As process 1 of a container, nothing ends it that it does not heed.
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	if !await(os.Args[1], atMost, end) {
		os.Exit(143)
	}
	err := syscall.Exec(os.Args[2], os.Args[2:], os.Environ())
	fmt.Fprintf(os.Stderr, "await: run %s: %v\n", os.Args[2], err)
	os.Exit(127)
}

// await returns when address accepts connections or time is up; false when a
// signal came first.
func await(address string, limit time.Duration, end <-chan os.Signal) bool {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); {
		conn, err := net.DialTimeout("tcp", address, attempt)
		if err == nil {
			conn.Close()
			return true
		}
		select {
		case <-time.After(every):
		case <-end:
			return false
		}
	}
	return true
}
