// Package agent is PID 1 of every container of a pod. It exists because a cloud
// that runs container groups can create and delete them and little else, while
// a pod needs processes that start late, restart, are signalled, execute
// commands, and tell how they ended.
//
// The agent dials the node, since groups have no inbound port, and then does
// what the node asks (package protocol). Processes outlive connections: one
// that ends is dialled again, and nothing is lost meanwhile.
package agent

//lint:file-ignore SA1019 net/http serves listeners and dials addresses; here it is the dialler that serves, on the one connection.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"frankenetes.dev/agent/cgroup"
	"frankenetes.dev/agent/process"
	"frankenetes.dev/agent/rootless"
	"golang.org/x/net/http2"
)

const (
	// farewell is how long processes have to end after the agent was asked to.
	farewell = 10 * time.Second
	// lastWords is how long the node has to hear of it.
	lastWords = time.Second
)

// Config is what an agent needs.
type Config struct {
	// Node is the node's agent endpoint, host:port.
	Node string
	// Token is the one-time token to enrol with.
	Token string
	// Authority is the PEM certificate of who signs the node's certificate.
	Authority []byte
	// Version is what the agent says its version is.
	Version string
	// Root and Volumes are the directories of those names in package
	// protocol; elsewhere in tests.
	Root, Volumes string
	// Reaper waits for this process's children, and must be running.
	Reaper *process.Reaper
	// Trial makes the agent find out whether processes can have namespaces of
	// their own. It then starts this program again, by a stage's name.
	Trial bool
	// Keeper makes the agent ready for volumes in memory, if a trial says that
	// they can be had: the first need not wait then.
	Keeper bool
	// Hurry, once closed, ends the wait for processes that are asked to end.
	Hurry <-chan struct{}
	Log   *slog.Logger
}

func (c Config) dirs() rootless.Dirs { return rootless.Dirs{Root: c.Root, Volumes: c.Volumes} }

// agent is one container's agent, once it has enrolled.
type agent struct {
	cfg    Config
	log    *slog.Logger
	server string // the node's name in its certificate
	roots  *x509.CertPool
	own    *ownCertificate
	cgroup cgroup.Group

	processes *supervisor
	// trial says what processes can have.
	trial   func() rootless.Findings
	volumes *podVolumes
	record  record
	// requests are those being answered, on whatever connection.
	requests inFlight
	// http belongs to every connection, and can end them gracefully.
	http    *http.Server
	http2   *http2.Server
	leaving chan struct{} // closed when no connection is dialled any more
}

// Run enrols, serves the node until the context is done, then asks all
// processes to end and waits for them. It returns ErrRefused if the node does
// not know the token, and otherwise does not give up.
func Run(ctx context.Context, cfg Config) error {
	a, err := newAgent(cfg)
	if err != nil {
		return err
	}
	defer a.volumes.close()
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(a.prepare) // while we wait for others
	id, err := a.enrol(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil // asked to end before anything was started
		}
		return err
	}
	a.log = a.log.With("group", id.Group, "container", id.Container)
	logs := filepath.Join(cfg.Root, "log", id.Container)
	a.processes = newSupervisor(cfg.Reaper, logs, cfg.dirs(), a.cgroup, a.log)

	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	served := make(chan struct{})
	work.Go(func() {
		defer close(served)
		a.serve(serving)
	})
	work.Go(func() { a.keepCertificate(serving) })
	<-ctx.Done()
	a.processes.shutDown(farewell, cfg.Hurry)
	a.sayGoodbye(served)
	stop()
	work.Wait()
	a.requests.settle(lastWords)
	a.processes.close()
	return nil
}

// sayGoodbye lets the node hear the end of what it listens to. HTTP/2 clients
// close a connection that is announced to end once they have got the last of
// it, which is the only sign that they have.
func (a *agent) sayGoodbye(served <-chan struct{}) {
	close(a.leaving)
	if a.requests.none() {
		return // nobody listens
	}
	timeout, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	_ = a.http.Shutdown(timeout) // has no connections of its own to wait for
	a.processes.dismissWatchers()
	select {
	case <-served:
	case <-timeout.Done():
	}
}

// inFlight counts the requests that are being answered.
type inFlight struct {
	mu sync.Mutex
	n  int
	// idle is closed when there are none, and nil while nobody waits for that.
	idle chan struct{}
}

func (f *inFlight) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
}

func (f *inFlight) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n--; f.n == 0 && f.idle != nil {
		close(f.idle)
		f.idle = nil
	}
}

func (f *inFlight) none() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n == 0
}

// settle waits until there are none, but not for ever: a request that hangs on
// a process that cannot be killed is not worth staying for.
func (f *inFlight) settle(atMost time.Duration) {
	f.mu.Lock()
	if f.n == 0 {
		f.mu.Unlock()
		return
	}
	if f.idle == nil {
		f.idle = make(chan struct{})
	}
	idle := f.idle
	f.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(atMost):
	}
}

func newAgent(cfg Config) (*agent, error) {
	host, _, err := net.SplitHostPort(cfg.Node)
	if err != nil {
		return nil, fmt.Errorf("read node's address %q: %w", cfg.Node, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(cfg.Authority) {
		return nil, errors.New("read node's authority: no PEM certificate")
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	own, err := newOwnCertificate()
	if err != nil {
		return nil, err
	}
	a := &agent{cfg: cfg, log: log, server: host, roots: roots, own: own, cgroup: cgroup.Own()}
	a.volumes = newPodVolumes(cfg.dirs(), cfg.Reaper)
	a.trial = sync.OnceValue(a.try)
	a.leaving = make(chan struct{})
	a.http, a.http2 = newServers(log)
	if err := http2.ConfigureServer(a.http, a.http2); err != nil {
		return nil, fmt.Errorf("prepare server: %w", err)
	}
	return a, nil
}

// prepare does what takes time and needs no node.
func (a *agent) prepare() {
	if found := a.trial(); !a.cfg.Keeper || found.NoRoom != nil {
		return
	}
	if err := a.volumes.startKeeper(); err != nil {
		a.log.Warn("volumes in memory will have to wait", "error", err)
	}
}

// try finds out what processes can have.
func (a *agent) try() rootless.Findings {
	if !a.cfg.Trial {
		err := errors.New("this agent was not asked to find out")
		return rootless.Findings{NoRoom: err, NoCleanRoot: err}
	}
	return rootless.Try(a.cfg.Reaper, a.cfg.dirs())
}

// tls is the configuration for a connection of the given ALPN protocol.
func (a *agent) tls(alpn string) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		RootCAs:              a.roots,
		ServerName:           a.server,
		NextProtos:           []string{alpn},
		GetClientCertificate: a.own.get,
	}
}
