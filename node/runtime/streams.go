package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	remote "k8s.io/cri-client/pkg"
	"k8s.io/cri-streaming/pkg/streaming"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/utils/exec"

	"frankenetes.dev/agent/protocol"
)

// maxOutput bounds what ExecSync keeps of each of a command's outputs.
const maxOutput = 16 << 20

// streams serves exec, attach and port-forward to the kubelet, on loopback. A
// request is let in by the random token of its URL, once, within a minute.
type streams struct {
	server   streaming.Server
	http     *http.Server
	listener net.Listener
}

func newStreams(r *Runtime, l net.Listener) (*streams, error) {
	config := streaming.DefaultConfig
	config.Addr = l.Addr().String()
	config.BaseURL = &url.URL{Scheme: "http", Host: config.Addr}
	if r.opts.StreamIdle > 0 {
		config.StreamIdleTimeout = r.opts.StreamIdle
	}
	server, err := streaming.NewServer(config, bridge{r})
	if err != nil {
		return nil, fmt.Errorf("serve streams: %w", err)
	}
	return &streams{server: server, listener: l, http: &http.Server{
		Handler: server, ReadHeaderTimeout: time.Minute, BaseContext: func(net.Listener) context.Context { return r.life }}}, nil
}

func (s *streams) serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve streams: %w", err)
	}
	return nil
}

func (s *streams) close() { _ = s.http.Close() }

// Exec returns the URL at which a command's streams can be had.
func (r *Runtime) Exec(_ context.Context, req *runtimeapi.ExecRequest) (*runtimeapi.ExecResponse, error) {
	if _, err := r.running(req.GetContainerId()); err != nil {
		return nil, err
	}
	return r.streams.server.GetExec(req)
}

// Attach returns the URL at which a container's streams can be had.
func (r *Runtime) Attach(_ context.Context, req *runtimeapi.AttachRequest) (*runtimeapi.AttachResponse, error) {
	if _, err := r.running(req.GetContainerId()); err != nil {
		return nil, err
	}
	return r.streams.server.GetAttach(req)
}

// PortForward returns the URL at which ports of a sandbox can be had.
func (r *Runtime) PortForward(_ context.Context, req *runtimeapi.PortForwardRequest) (*runtimeapi.PortForwardResponse, error) {
	if _, err := r.sandbox(req.GetPodSandboxId()); err != nil {
		return nil, err
	}
	return r.streams.server.GetPortForward(req)
}

// ExecSync runs a command and returns what it wrote. An exit code other than
// zero is an exec.CodeExitError, as the kubelet's probes expect it.
func (r *Runtime) ExecSync(ctx context.Context, id string, cmd []string, timeout time.Duration) ([]byte, []byte, error) {
	c, err := r.running(id)
	if err != nil {
		return nil, nil, err
	}
	run := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		run, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	agent, err := r.client(run, c.sandbox, c.place())
	if err != nil {
		// That the agent is away says nothing of the command: a probe whose
		// command times out kills the container, one that fails so does not.
		return nil, nil, fmt.Errorf("run %q: its agent is not connected: %w", strings.Join(cmd, " "), err)
	}
	stdout, stderr := &output{}, &output{}
	err = execute(run, agent, protocol.Exec{Process: id, Args: cmd}, protocol.Streams{Stdout: stdout, Stderr: stderr})
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("%w: %q timed out after %s", remote.ErrCommandTimedOut, strings.Join(cmd, " "), timeout)
		return nil, nil, err
	}
	return stdout.Bytes(), stderr.Bytes(), err
}

// exec runs a command in a container and returns how it ended.
func (r *Runtime) exec(ctx context.Context, c *container, e protocol.Exec, s protocol.Streams) error {
	agent, err := r.client(ctx, c.sandbox, c.place())
	if err != nil {
		return err
	}
	return execute(ctx, agent, e, s)
}

func execute(ctx context.Context, agent *protocol.Client, e protocol.Exec, s protocol.Streams) error {
	code, err := agent.Exec(ctx, e, s)
	if err != nil {
		return err
	}
	if code != 0 {
		return exec.CodeExitError{Err: fmt.Errorf("command terminated with exit code %d", code), Code: int(code)}
	}
	return nil
}

// running finds a container that can be talked to.
func (r *Runtime) running(id string) (*container, error) {
	c, err := r.container(id)
	if err != nil {
		return nil, err
	}
	if s := c.current(); s != runtimeapi.ContainerState_CONTAINER_RUNNING {
		return nil, status.Errorf(codes.FailedPrecondition, "container %s does not run: it is %s", c.name(), s)
	}
	return c, nil
}

// bridge passes streams between the kubelet's clients and the agents.
type bridge struct{ r *Runtime }

// Exec runs a command with the client's streams.
func (b bridge) Exec(ctx context.Context, id string, cmd []string, in io.Reader, out, err io.WriteCloser, tty bool,
	resize <-chan remotecommand.TerminalSize) error {
	c, failure := b.r.running(id)
	if failure != nil {
		return failure
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return b.r.exec(ctx, c, protocol.Exec{Process: id, Args: cmd, TTY: tty, Stdin: in != nil}, client(ctx, in, out, err, resize))
}

// Attach joins the streams of a container's program.
func (b bridge) Attach(ctx context.Context, id string, in io.Reader, out, err io.WriteCloser, _ bool,
	resize <-chan remotecommand.TerminalSize) error {
	c, failure := b.r.running(id)
	if failure != nil {
		return failure
	}
	agent, failure := b.r.client(ctx, c.sandbox, c.place())
	if failure != nil {
		return failure
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return agent.Attach(ctx, id, client(ctx, in, out, err, resize))
}

// PortForward joins a client's connection to a port of the pod.
func (b bridge) PortForward(ctx context.Context, id string, port int32, stream io.ReadWriteCloser) error {
	sb, err := b.r.sandbox(id)
	if err != nil {
		return err
	}
	agent, err := b.r.client(ctx, sb, protocol.PodAgent)
	if err != nil {
		return err
	}
	return agent.PortForward(ctx, port, stream)
}

// client returns a client's streams as the agent's connection takes them. A nil
// stream must stay nil, and not become an interface that holds one.
func client(ctx context.Context, in io.Reader, out, err io.WriteCloser, resize <-chan remotecommand.TerminalSize) protocol.Streams {
	s := protocol.Streams{Stdin: in}
	if out != nil {
		s.Stdout = out
	}
	if err != nil {
		s.Stderr = err
	}
	if resize != nil {
		sizes := make(chan protocol.Size)
		s.Resize = sizes
		go passSizes(ctx, resize, sizes)
	}
	return s
}

// passSizes passes on a terminal's sizes until the context is done.
func passSizes(ctx context.Context, from <-chan remotecommand.TerminalSize, to chan<- protocol.Size) {
	defer close(to)
	for {
		select {
		case size, ok := <-from:
			if !ok {
				return
			}
			select {
			case to <- protocol.Size{Width: size.Width, Height: size.Height}:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// output keeps the first maxOutput bytes written to it.
type output struct{ bytes.Buffer }

func (b *output) Write(p []byte) (int, error) {
	if room := maxOutput - b.Len(); len(p) > room {
		_, _ = b.Buffer.Write(p[:max(room, 0)]) // a Buffer's Write never fails
		return len(p), nil
	}
	return b.Buffer.Write(p)
}
