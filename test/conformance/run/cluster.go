package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clusterName is what the cluster is called.
const clusterName = "conformance"

// grace is how long a command that is interrupted may take to tidy up.
const grace = 2 * time.Minute

// cluster is a cluster of the command's own on a cloud of its own.
type cluster struct {
	bin, home string
	nodes     int
	// claimed is whether home is known to be its own.
	claimed bool
}

// limitNodes makes do with one node where `frankenetes up` makes no more.
func (c *cluster) limitNodes(ctx context.Context) error {
	help, err := exec.CommandContext(ctx, c.frankenetes(), "up", "--help").Output()
	if err != nil {
		return fmt.Errorf("ask frankenetes what up can do: %w", err)
	}
	if c.nodes > 1 && !bytes.Contains(help, []byte("--nodes")) {
		fmt.Fprintf(os.Stderr, "`frankenetes up` has no --nodes: the cluster has one node, not %d\n", c.nodes)
		c.nodes = 1
	}
	return nil
}

// up starts the cloud, gives it the suite's images, and makes the cluster.
// What a run that was killed has left is removed before.
func (c *cluster) up(ctx context.Context) error {
	if err := c.claim(ctx); err != nil {
		return err
	}
	up := []string{"up", clusterName}
	if c.nodes > 1 {
		up = append(up, "--nodes", strconv.Itoa(c.nodes))
	}
	for _, args := range [][]string{
		{"cloud", "start"},
		{"image", "load", filepath.Join(c.bin, "conformance", "images")},
		up,
		// The suite makes hundreds of clients: none has to ask a program.
		{"kubeconfig", clusterName, "--merge", "--embed"},
	} {
		if err := c.call(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// marker is in a directory that may be removed with all that is in it.
const marker = ".made-by-make-conformance"

// claim makes the cloud's directory, which must not be anybody else's.
func (c *cluster) claim(ctx context.Context) error {
	_, err := os.Stat(c.home)
	if err == nil {
		if _, err := os.Stat(filepath.Join(c.home, marker)); err != nil {
			return fmt.Errorf("%s is there already and was not made by this command", c.home)
		}
		if err := c.down(ctx); err != nil {
			return fmt.Errorf("remove what an earlier run left: %w", err)
		}
	}
	if err := os.MkdirAll(c.home, 0o700); err != nil {
		return fmt.Errorf("make the cloud's directory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.home, marker), nil, 0o600); err != nil {
		return fmt.Errorf("make the cloud's directory: %w", err)
	}
	c.claimed = true
	return nil
}

// down removes cluster and cloud with all their data.
func (c *cluster) down(ctx context.Context) error {
	// The cloud ends with everything in it, so the cluster need not go first.
	if err := c.call(ctx, "cloud", "stop"); err != nil {
		return err
	}
	if err := os.RemoveAll(c.home); err != nil {
		return fmt.Errorf("remove the cloud's data: %w", err)
	}
	return nil
}

func (c *cluster) frankenetes() string { return filepath.Join(c.bin, "frankenetes") }

// kubeconfig is a file that has only this cluster.
func (c *cluster) kubeconfig() string { return filepath.Join(c.home, "kubeconfig") }

// call calls frankenetes, whose words are the user's to read.
func (c *cluster) call(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, c.frankenetes(), args...)
	cmd.Env = append(os.Environ(), "FRANKENETES_HOME="+c.home, "FRANKENETES_CLOUD=local", "KUBECONFIG="+c.kubeconfig(), "SUDO_USER=")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = grace
	// Of this process, not of the terminal, it learns of an interrupt.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("frankenetes %s: %w", strings.Join(args, " "), errors.Join(ctx.Err(), err))
	}
	return nil
}
