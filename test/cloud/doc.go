// Package cloudtest tests the embedded cloud alone, without a cluster: the real
// binary, real containers, and the clients that others use. It needs root and
// the binaries of `make build` in $FRANKENETES_BIN:
//
//	FRANKENETES_BIN=$PWD/bin go test ./test/cloud/ -run TestX -v
//
// A file has one subject, and most files one Test function that tells its story
// in parts, on one cloud:
//
//	func TestVolumes(t *testing.T) {
//		c := newCloud(t) // its own home; stopped and looked for at the end
//		c.part("an empty directory is shared", testEmptyDir)
//	}
//
//	func testEmptyDir(c *localCloud) {
//		g := c.put("dirs", sleeper("one"), sleeper("two"))
//		out, code := c.sh("dirs", "one", "echo hello > /tmp/x; cat /tmp/x")
//		...
//		c.remove("dirs")
//	}
//
// put, get, sh, logs and remove work in the resource group `tests`, which
// newCloud makes; c.conn has the SDK's clients for everything else, and
// sdk(c, armX.NewYClient) makes a client that cloud.Connection has not.
// Run, Try, Call, Kill9, Status and Traces come from package machine. Every
// answer of ARM on c.conn is compared with the OpenAPI documents, where they
// are present; an answer that does not fit fails the test.
package cloudtest
