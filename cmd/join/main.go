// Command join is the CNI plugin that gives a container group of the embedded
// cloud its network interface. The runtime starts it for every group.
package main

import "frankenetes.dev/embedded/network/attach"

func main() { attach.Main() }
