// Package embedded is the embedded cloud: a daemon that answers the ACI REST
// API on loopback and runs container groups as real containers. It exists so
// that a laptop or a CI job can have what Azure has, with the same clients.
//
// This package only puts the parts together and looks after the daemon's
// process; each part is a package of its own below it.
package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"frankenetes.dev/embedded/isolation"
	"frankenetes.dev/embedded/limits"
	"frankenetes.dev/embedded/store"
)

var (
	// ErrNotRoot is returned when the caller cannot make containers.
	ErrNotRoot = errors.New("the embedded cloud runs containers and needs root")
	// ErrNotRunning is returned by Stat when there is no daemon.
	ErrNotRunning = errors.New("the embedded cloud is not running")
	// ErrLocked is returned by Run when another daemon has the data directory.
	ErrLocked = errors.New("another daemon runs on this data directory")
	// ErrDamaged is returned by Run when the database cannot be trusted. It is
	// left as it is.
	ErrDamaged = store.ErrDamaged
)

// DefaultHome is the data directory where none is named.
const DefaultHome = "/var/lib/frankenetes"

// Options say which embedded cloud is meant and what it is made of.
type Options struct {
	// Home is the data directory; empty means DefaultHome.
	Home string
	// Tools is the directory with containerd, its shim, runc and cni/.
	Tools string
	// Images is an OCI image layout whose images are in the cloud's store.
	Images string
	// Location is the name of the only location; empty means "local".
	Location string
	// Isolation is how groups are kept from the host; empty means as well as
	// this host can.
	Isolation isolation.Mode
	// Limits are what the cloud allows from now on; nil means what it did before.
	Limits *limits.Limits
	// Log is the daemon's log; nil means standard error.
	Log *slog.Logger

	// runtimeDir is where state is; empty means /run/frankenetes.
	runtimeDir string
}

// runtimeDir holds a directory for each cloud of this host.
const runtimeDir = "/run/frankenetes"

func (o Options) withDefaults() (Options, error) {
	if o.Home == "" {
		o.Home = DefaultHome
	}
	if o.runtimeDir == "" {
		o.runtimeDir = runtimeDir
	}
	var err error
	if o.Isolation, err = isolation.ParseMode(string(o.Isolation)); err != nil {
		return o, err
	}
	if o.Location == "" {
		o.Location = "local"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	for _, dir := range []*string{&o.Home, &o.Tools, &o.Images} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return o, fmt.Errorf("find directory: %w", err)
		}
		*dir = abs
	}
	// By whatever name it is called, a directory is one cloud.
	if real, err := filepath.EvalSymlinks(o.Home); err == nil {
		o.Home = real
	}
	return o, nil
}

// id names the cloud on this host: eight hexadecimal digits made from its home.
func (o Options) id() string {
	sum := sha256.Sum256([]byte(o.Home))
	return hex.EncodeToString(sum[:4])
}

// state is the directory of what does not survive a restart of the machine.
// Its path is short because sockets live below it.
func (o Options) state() string { return filepath.Join(o.runtimeDir, o.id()) }

func (o Options) in(parts ...string) string {
	return filepath.Join(append([]string{o.Home}, parts...)...)
}

// ConfigPath returns the file that says how to reach the cloud of a data
// directory, with the operator's credential. It is readable by root alone.
func ConfigPath(home string) string {
	if home == "" {
		home = DefaultHome
	}
	return filepath.Join(home, "cloud.json")
}

func logPath(home string) string { return filepath.Join(home, "cloud.log") }

// requireRoot fails early and clearly where everything else would fail late.
func requireRoot() error {
	if os.Geteuid() != 0 {
		return ErrNotRoot
	}
	return nil
}

// detach returns a context that lives on, with a limit, when ctx is done.
func detach(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}
