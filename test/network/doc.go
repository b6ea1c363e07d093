// Package networktest builds the embedded cloud's networks, without containers,
// in a network namespace of its own, and tries who reaches whom. It needs root
// and touches nothing of the host's network.
package networktest
