package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"frankenetes.dev/embedded/isolation"
)

// errStopping is what Stat returns of a daemon that is about to end.
var errStopping = errors.New("the embedded cloud is stopping")

// Status is what a running daemon says of itself.
type Status struct {
	Running bool      `json:"running"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Home    string    `json:"home"`
	// ID is made from Home; the interfaces, cgroup, nftables table and runtime
	// directory of this cloud are named by it.
	ID       string `json:"id"`
	Endpoint string `json:"endpoint"`
	// Subnet is the range of the groups' cloud addresses.
	Subnet string `json:"subnet"`
	// Containerd is its version.
	Containerd string `json:"containerd"`
	// Isolation is what groups have: "userns", a user namespace each, or "none".
	Isolation isolation.Mode `json:"isolation"`
	// Groups is the number of container groups, deployed or not.
	Groups int `json:"groups"`
	// Limits are what it allows, as limits.Parse reads them.
	Limits []string `json:"limits"`
	// Outdated says that the daemon runs another program than the one that
	// asks: it was replaced since. Containers go on in any case, and the new
	// one takes over with the next stop and start.
	Outdated bool `json:"outdated,omitempty"`
}

func statusSocket(o Options) string { return o.state() + "/status.sock" }

// statusServer answers those who start the cloud or ask how it is, on a socket
// that only root can reach. It does so from the daemon's first moment on: who
// asks while the daemon starts is answered when it has.
type statusServer struct {
	server  *http.Server
	running sync.WaitGroup
	decided chan struct{} // closed by the first call of set
	once    sync.Once

	mu        sync.Mutex
	answers   http.Handler // nil when the daemon is stopping
	answering sync.WaitGroup
	ending    context.Context // done when the daemon is stopping
	end       context.CancelFunc
}

func serveStatus(o Options) (*statusServer, error) {
	path := statusSocket(o)
	_ = os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, errors.Join(err, listener.Close()))
	}
	s := &statusServer{decided: make(chan struct{})}
	s.ending, s.end = context.WithCancel(context.Background())
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: headerTimeout}
	s.running.Go(func() { _ = s.server.Serve(listener) })
	return s, nil
}

// set says who answers; nil means that the daemon is stopping, and ends the
// answers under way.
func (s *statusServer) set(answers http.Handler) {
	s.mu.Lock()
	s.answers = answers
	s.mu.Unlock()
	s.once.Do(func() { close(s.decided) })
	if answers == nil {
		s.end()
		s.answering.Wait()
	}
}

func (s *statusServer) close() {
	s.set(nil)
	s.server.Close()
	s.running.Wait()
}

// ServeHTTP answers once it is decided how the daemon is.
func (s *statusServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-s.decided:
	case <-r.Context().Done():
		return
	}
	s.mu.Lock()
	answers := s.answers
	if answers != nil {
		s.answering.Add(1)
	}
	s.mu.Unlock()
	if answers == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer s.answering.Done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ending, cancel)()
	answers.ServeHTTP(w, r.WithContext(ctx))
}

// answers are what the daemon answers on its socket while it runs: how it is,
// and whatever else its parts add.
func answers(report func(context.Context) Status, parts ...func(*http.ServeMux)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(report(r.Context()))
	})
	for _, add := range parts {
		add(mux)
	}
	return mux
}

// report is the daemon's own status.
func (d *daemon) report(ctx context.Context) Status {
	version, err := d.runtime.Version(ctx)
	if err != nil {
		version = "not answering: " + err.Error()
	}
	isolated := isolation.None
	if d.isolation.IDs != nil {
		isolated = isolation.UserNamespaces
	}
	return Status{
		Running: true, Isolation: isolated, PID: os.Getpid(), Since: d.began,
		Home: d.options.Home, ID: d.options.id(), Endpoint: d.url(loopback.String()),
		Subnet: d.pool.String(), Containerd: version, Groups: d.groups.Count(), Limits: d.groups.Limits().Words(),
	}
}

// A daemon has its lock for a moment before its socket is there, and for another
// one after that has gone. While it is silent it is asked again.
const (
	silence   = 10 * time.Second
	askedAnew = 20 * time.Millisecond
)

// Stat asks the daemon how it is, or returns ErrNotRunning. Of a daemon that
// is starting it waits for the outcome.
func Stat(ctx context.Context, o Options) (Status, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Status{}, err
	}
	for until := time.Now().Add(silence); ; {
		pid, _, err := holder(o.Home)
		if err != nil {
			return Status{}, err
		}
		if pid == 0 {
			return Status{}, ErrNotRunning
		}
		answer, err := askDaemon(ctx, o, http.MethodGet, "/", nil)
		if err == nil {
			return readStatus(answer, pid)
		}
		if ctx.Err() != nil || time.Now().After(until) {
			return Status{}, fmt.Errorf("the daemon (process %d) does not answer: %w", pid, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(askedAnew):
		}
	}
}

func readStatus(answer *http.Response, pid int) (Status, error) {
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return Status{}, errStopping
	}
	var status Status
	if err := json.NewDecoder(answer.Body).Decode(&status); err != nil {
		return Status{}, fmt.Errorf("ask the daemon: %w", err)
	}
	status.Outdated = otherProgram(pid)
	return status, nil
}

// otherProgram reports whether a process runs another file than this one. The
// kernel knows, even when the file has been removed.
func otherProgram(pid int) bool {
	ours, err := os.Stat("/proc/self/exe")
	if err != nil {
		return false
	}
	theirs, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && !os.SameFile(ours, theirs)
}

// askDaemon sends a request to the daemon's socket.
func askDaemon(ctx context.Context, o Options, method, path string, body io.Reader) (*http.Response, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", statusSocket(o))
	}}}
	request, err := http.NewRequestWithContext(ctx, method, "http://daemon"+path, body)
	if err != nil {
		return nil, fmt.Errorf("ask the daemon: %w", err)
	}
	return client.Do(request)
}
