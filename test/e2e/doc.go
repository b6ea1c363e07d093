// Package e2e tests the real binary with real containers: a cloud of its own
// in a directory of its own, beside whatever else runs on the machine. It
// needs root and the binaries of `make build` in $FRANKENETES_BIN.
package e2e
