// Package machine gives an end-to-end test a cloud of its own: a directory, an
// environment and the real binary, with everything stopped and looked for when
// the test ends, however it ends. It exists so that the tests of a cluster and
// those of the cloud alone have one way to start, kill and clean up.
package machine
