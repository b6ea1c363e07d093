package cloudtest

import "testing"

// TestSDK does with the Go SDK all that it can do.
func TestSDK(t *testing.T) {
	c := newCloud(t)
	c.part("a group lives and dies", testGroupLife)
}

func testGroupLife(c *localCloud) {
	g := c.put("life", sleeper("one"), container("two", "sh", "-c", "echo hello; exit 3"))
	if state := *g.Properties.ProvisioningState; state != "Succeeded" {
		c.T.Errorf("provisioning state %q", state)
	}
	if out, code := c.sh("life", "one", "echo to stdout; echo to stderr >&2; exit 7"); out != "to stdout\nto stderr\n" || code != 7 {
		c.T.Errorf("a shell printed %q and ended with %d", out, code)
	}
	c.remove("life")
}
