package e2e

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
)

// conversation is a kubectl that runs beside the test.
type conversation struct {
	m   *operator
	in  io.WriteCloser
	out *bufio.Reader
	// end ends it, and returns when it has.
	end func()
	// wait returns when it has ended by itself.
	wait func()
}

// converse starts kubectl; if it still runs when the test ends, it is ended.
func (m *operator) converse(args ...string) *conversation {
	m.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, filepath.Join(m.Bin, "frankenetes"), append([]string{"kubectl"}, args...)...)
	cmd.Env = m.Env
	in, err := cmd.StdinPipe()
	if err != nil {
		m.T.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.T.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.T.Fatal(err)
	}
	// How it ends depends on who ends first, and is never looked at.
	wait := sync.OnceFunc(func() { _ = cmd.Wait() })
	end := func() { cancel(); wait() }
	m.T.Cleanup(end)
	return &conversation{m: m, in: in, out: bufio.NewReader(out), end: end, wait: func() { wait(); cancel() }}
}

// line returns what it says next.
func (c *conversation) line() string {
	c.m.T.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		c.m.T.Fatalf("after %q: %v", line, err)
	}
	return line
}

// rest returns what it says until it ends by itself.
func (c *conversation) rest() string {
	c.m.T.Helper()
	rest, err := io.ReadAll(c.out)
	if err != nil {
		c.m.T.Errorf("after %q: %v", rest, err)
	}
	c.wait()
	return string(rest)
}
