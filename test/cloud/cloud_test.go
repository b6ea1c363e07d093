package cloudtest

import (
	"context"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"

	"frankenetes.dev/cloud"
	"frankenetes.dev/test/machine"
)

// resourceGroup is where the tests' groups are, unless they say otherwise.
const resourceGroup = "tests"

// localCloud is an embedded cloud of the test's own, which runs.
type localCloud struct {
	*machine.Machine
	// conn has the SDK's clients, as the cloud's operator, by way of front.
	conn  *cloud.Connection
	front *front
}

// newCloud starts a cloud with a resource group for the test. It is stopped
// when the test ends, and nothing of it may be left.
func newCloud(t *testing.T) *localCloud {
	t.Helper()
	c := &localCloud{Machine: machine.New(t)}
	c.Run("cloud", "start")
	c.front = newFront(t, c.Config())
	t.Cleanup(func() {
		c.front.judge(t)
		t.Logf("%d answers compared with the OpenAPI documents", c.front.checked)
	})
	c.conn = c.connect(c.front.config)
	if err := c.conn.PutResourceGroup(c.ctx(), resourceGroup, c.conn.Location, nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// connect makes clients for a configuration: the front's, as somebody else, or
// the cloud's own.
func (c *localCloud) connect(conf cloud.Config) *cloud.Connection {
	c.T.Helper()
	conn, err := cloud.Connect(conf)
	if err != nil {
		c.T.Fatal(err)
	}
	return conn
}

// part runs one part of the story; where it fails, the story ends.
func (c *localCloud) part(name string, fn func(c *localCloud)) {
	c.T.Helper()
	ok := c.T.Run(name, func(t *testing.T) { fn(c.in(t)) })
	// An answer that does not fit is a failure, but does not end the story.
	c.front.judge(c.T)
	if !ok {
		c.T.FailNow()
	}
}

// in returns the same cloud in the hands of another test.
func (c *localCloud) in(t *testing.T) *localCloud {
	return &localCloud{Machine: c.For(t), conn: c.conn, front: c.front}
}

// ctx ends with the test, or when it has taken far too long.
func (c *localCloud) ctx() context.Context {
	ctx, cancel := context.WithTimeout(c.T.Context(), machine.Patience)
	c.T.Cleanup(cancel)
	return ctx
}

// sdk makes a client of the SDK that cloud.Connection has not, such as
// sdk(c, armcontainerinstance.NewLocationClient).
func sdk[T any](c *localCloud, constructor func(string, azcore.TokenCredential, *arm.ClientOptions) (T, error)) T {
	c.T.Helper()
	client, err := constructor(c.conn.SubscriptionID, c.conn.Credentials(), c.conn.ClientOptions())
	if err != nil {
		c.T.Fatal(err)
	}
	return client
}
