package cloudtest

import (
	"net"
	"time"

	"frankenetes.dev/test/machine"
)

// reachable reports whether somebody answers at a TCP address.
func reachable(at string) bool {
	conn, err := net.DialTimeout("tcp", at, time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// awaitReach waits until an address can, or cannot, be reached.
func (c *localCloud) awaitReach(at string, want bool) {
	c.T.Helper()
	for end := time.Now().Add(machine.Patience); reachable(at) != want; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			c.T.Fatalf("that %s can be reached never was %v", at, want)
		}
	}
}
