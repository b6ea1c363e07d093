package containerd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/client"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	// stopGrace is how long containerd may take to end after SIGTERM.
	stopGrace = 10 * time.Second
	// restartPause keeps a containerd that dies at once from spinning.
	restartPause = time.Second
	// maxMessage is containerd's own limit for one gRPC message, in bytes.
	maxMessage = 16 << 20
)

// Runtime is a containerd that is kept alive. Its clients stay valid when
// containerd is started anew: calls made meanwhile fail or wait, as gRPC has it.
type Runtime struct {
	options Options
	log     *slog.Logger
	conn    *grpc.ClientConn
	client  *client.Client
	adopted bool

	cancel  context.CancelFunc
	running sync.WaitGroup
	// relaunched is signalled when containerd was started again.
	relaunched chan struct{}

	mu      sync.Mutex
	current *process
}

// Start uses the containerd that listens on the socket, or starts one, and
// keeps it alive until Stop or Release.
func Start(ctx context.Context, o Options) (*Runtime, error) {
	if err := o.write(); err != nil {
		return nil, err
	}
	p, err := find(o.Socket())
	if err != nil {
		return nil, err
	}
	adopted := p != nil
	if !adopted {
		if err := o.endStarting(); err != nil {
			return nil, err
		}
		if p, err = launch(ctx, o); err != nil {
			return nil, err
		}
	}
	r := &Runtime{options: o, log: o.Log, current: p, adopted: adopted, relaunched: make(chan struct{}, 1)}
	if err := r.connect(ctx); err != nil {
		if adopted && p.over() {
			return Start(ctx, o) // it was about to end when it was found
		}
		if !adopted {
			p.kill()
		}
		return nil, err
	}
	var watchCtx context.Context
	watchCtx, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
	r.running.Go(func() { r.keepAlive(watchCtx) })
	r.running.Go(func() { r.keepTidy(watchCtx) })
	return r, nil
}

func (r *Runtime) connect(ctx context.Context) error {
	conn, err := grpc.NewClient("unix://"+r.options.Socket(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a socket in a directory of root's alone
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.6, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return fmt.Errorf("connect to containerd: %w", err)
	}
	c, err := client.NewWithConn(conn, client.WithDefaultNamespace(Namespace))
	if err != nil {
		return errors.Join(fmt.Errorf("connect to containerd: %w", err), conn.Close())
	}
	r.conn, r.client = conn, c
	// An adopted containerd may still be starting; this waits for it.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer r.current.onEnd(cancel)()
	if _, err := r.CRI().Version(ctx, &runtimeapi.VersionRequest{}, grpc.WaitForReady(true)); err != nil {
		return errors.Join(fmt.Errorf("ask containerd for its version: %w", err), conn.Close())
	}
	return nil
}

// CRI returns the client for pods and containers.
func (r *Runtime) CRI() runtimeapi.RuntimeServiceClient {
	return runtimeapi.NewRuntimeServiceClient(r.conn)
}

// Images returns the CRI client for images.
func (r *Runtime) Images() runtimeapi.ImageServiceClient {
	return runtimeapi.NewImageServiceClient(r.conn)
}

// Client returns containerd's own client, for what the CRI does not offer:
// importing images and reading content.
func (r *Runtime) Client() *client.Client { return r.client }

// Adopted reports whether containerd was already running.
func (r *Runtime) Adopted() bool { return r.adopted }

// Version returns containerd's version.
func (r *Runtime) Version(ctx context.Context) (string, error) {
	v, err := r.CRI().Version(ctx, &runtimeapi.VersionRequest{})
	if err != nil {
		return "", fmt.Errorf("ask containerd for its version: %w", err)
	}
	return v.RuntimeVersion, nil
}

// keepAlive starts containerd again whenever it ends.
func (r *Runtime) keepAlive(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.process().done:
		}
		if ctx.Err() != nil {
			return
		}
		r.log.Warn("containerd ended; starting it again", "said", lastLine(r.options.LogFile()))
		p, err := launch(ctx, r.options)
		for err != nil {
			r.log.Error("containerd does not start", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(restartPause):
			}
			p, err = launch(ctx, r.options)
		}
		r.mu.Lock()
		unix.Close(r.current.fd)
		r.current = p
		r.mu.Unlock()
		r.conn.ResetConnectBackoff()
		select {
		case r.relaunched <- struct{}{}:
		default: // a signal is pending already
		}
	}
}

func (r *Runtime) process() *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.current
}

// Release stops looking after containerd and leaves it running.
func (r *Runtime) Release() error {
	r.cancel()
	r.running.Wait()
	if err := r.client.Close(); err != nil {
		return fmt.Errorf("disconnect from containerd: %w", err)
	}
	return nil
}

// Stop ends containerd. Containers that still run would survive it: remove
// them before.
func (r *Runtime) Stop(ctx context.Context) error {
	err := r.Release()
	p := r.process()
	p.signal(unix.SIGTERM)
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-p.done:
	case <-grace.C:
	case <-ctx.Done():
	}
	p.kill()
	err = errors.Join(err, r.options.endShims(), r.options.clearTemporary())
	_ = os.Remove(r.options.Socket())
	_ = os.Remove(r.options.Socket() + ".ttrpc")
	return err
}
