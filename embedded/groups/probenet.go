package groups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// netns returns the path of the network namespace of the group's sandbox.
func (d *deployment) netns(ctx context.Context) (string, error) {
	d.mu.Lock()
	sandbox, known := d.sandbox, d.netnsOf
	d.mu.Unlock()
	if known.sandbox == sandbox {
		return known.path, nil
	}
	r, err := d.engine.cri.PodSandboxStatus(ctx, &runtimeapi.PodSandboxStatusRequest{PodSandboxId: sandbox, Verbose: true})
	if err != nil {
		return "", fmt.Errorf("ask for sandbox: %w", err)
	}
	// What the runtime says beyond the CRI, as containerd has it.
	var info struct {
		SandboxMetadata struct{ Metadata struct{ NetNSPath string } }
	}
	if err := json.Unmarshal([]byte(r.Info["info"]), &info); err != nil {
		return "", fmt.Errorf("read status of sandbox: %w", err)
	}
	path := info.SandboxMetadata.Metadata.NetNSPath
	if path == "" {
		return "", errors.New("the sandbox has no network namespace")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.netnsOf.sandbox, d.netnsOf.path = sandbox, path
	return path, nil
}

// dialIn connects to a TCP address in a network namespace.
func dialIn(ctx context.Context, netns, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, err // a name would be looked up elsewhere
	}
	type result struct {
		conn net.Conn
		err  error
	}
	dialled := make(chan result)
	go func() {
		// The thread is never given back: it ends with the goroutine, so that
		// nothing else ever runs in the namespace.
		runtime.LockOSThread()
		if err := enter(netns); err != nil {
			dialled <- result{err: err}
			return
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		dialled <- result{conn, err}
	}()
	r := <-dialled
	return r.conn, r.err
}

// enter moves the calling thread into a network namespace.
func enter(netns string) error {
	f, err := os.Open(netns)
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return nil
}
