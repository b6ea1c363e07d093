package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// errStopping is what Stat returns of a daemon that is about to end.
var errStopping = errors.New("the embedded cloud is stopping")

// Status is what a running daemon says of itself.
type Status struct {
	Running bool      `json:"running"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Home    string    `json:"home"`
	// ID is made from Home; the bridge, cgroup, nftables table and runtime
	// directory of this cloud are named by it.
	ID       string `json:"id"`
	Endpoint string `json:"endpoint"`
	Subnet   string `json:"subnet"`
	// Containerd is its version.
	Containerd string `json:"containerd"`
	// Groups is the number of container groups, deployed or not.
	Groups int `json:"groups"`
}

func statusSocket(o Options) string { return o.state() + "/status.sock" }

// statusServer answers Stat, on a socket that only root can reach. It does so
// from the daemon's first moment on: who asks while the daemon starts is
// answered when it has.
type statusServer struct {
	server  *http.Server
	running sync.WaitGroup
	decided chan struct{} // closed by the first call of set

	mu     sync.Mutex
	once   sync.Once
	report func(context.Context) Status
}

func serveStatus(o Options) (*statusServer, error) {
	path := statusSocket(o)
	_ = os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	s := &statusServer{decided: make(chan struct{})}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: headerTimeout}
	s.running.Go(func() { _ = s.server.Serve(listener) })
	return s, nil
}

// set says how the daemon is; nil means that it is stopping.
func (s *statusServer) set(report func(context.Context) Status) {
	s.mu.Lock()
	s.report = report
	s.mu.Unlock()
	s.once.Do(func() { close(s.decided) })
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
	report := s.report
	s.mu.Unlock()
	if report == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(report(r.Context()))
}

// report is the daemon's own status.
func (d *daemon) report(ctx context.Context) Status {
	version, err := d.runtime.Version(ctx)
	if err != nil {
		version = "not answering: " + err.Error()
	}
	return Status{
		Running: true, PID: os.Getpid(), Since: d.began,
		Home: d.options.Home, ID: d.options.id(), Endpoint: d.url(loopback.String()),
		Subnet: d.settings.Subnet.String(), Containerd: version, Groups: d.groups.Count(),
	}
}

// Stat asks the daemon how it is, or returns ErrNotRunning. Of a daemon that
// is starting it waits for the outcome.
func Stat(ctx context.Context, o Options) (Status, error) {
	o, err := o.withDefaults()
	if err != nil {
		return Status{}, err
	}
	pid, err := holder(o.Home)
	if err != nil {
		return Status{}, err
	}
	if pid == 0 {
		return Status{}, ErrNotRunning
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", statusSocket(o))
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://daemon/", nil)
	if err != nil {
		return Status{}, fmt.Errorf("ask the daemon: %w", err)
	}
	answer, err := client.Do(request)
	if err != nil {
		if again, holderErr := holder(o.Home); holderErr == nil && again == 0 {
			return Status{}, ErrNotRunning // it ended, perhaps since it could not start
		}
		return Status{}, fmt.Errorf("the daemon (process %d) does not answer: %w", pid, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return Status{}, errStopping
	}
	var status Status
	if err := json.NewDecoder(answer.Body).Decode(&status); err != nil {
		return Status{}, fmt.Errorf("ask the daemon: %w", err)
	}
	return status, nil
}
