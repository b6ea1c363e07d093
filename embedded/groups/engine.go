package groups

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync/atomic"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Labels on sandboxes and containers, by which a new daemon knows its own.
const (
	labelGroup     = "frankenetes.dev/group"     // the group's key
	labelUID       = "frankenetes.dev/uid"       // the deployment's
	labelContainer = "frankenetes.dev/container" // the container's name
)

// ErrNoShare is wrapped by what Shares returns when a share cannot be mounted.
var ErrNoShare = errors.New("share cannot be mounted")

// Shares finds file shares.
type Shares interface {
	// SharePath returns the directory of a share, for one who has a key of
	// its account.
	SharePath(account, share, key string) (dir string, err error)
}

// Paths are the directories of the groups. Only root can enter them.
type Paths struct {
	// Volumes holds emptyDir volumes, Logs what containers write.
	Volumes, Logs string
	// Memory holds secrets, in file systems that are never on a disk.
	Memory string
}

// engine is what deployments need to run containers.
type engine struct {
	cri     runtimeapi.RuntimeServiceClient
	images  runtimeapi.ImageServiceClient
	watcher *watcher
	cgroups Cgroups
	shares  Shares
	paths   Paths
	// isolation keeps the groups apart.
	isolation Isolation
	// resolver is the address of the cloud's DNS.
	resolver netip.Addr
	// registry is the host of images that are only in the local store.
	registry string
	private  privateImages
	// mountMemory mounts a file system in memory; only root can.
	mountMemory func(dir string) error
	// expose, if there is one, opens the ports of a deployment's containers at
	// its address, or closes them. It is told of the containers that have a
	// readiness probe; those of others are always open.
	expose func(uid string, ready map[string]bool)
	// discard ends what still runs of a container that has ended as the runtime
	// has it.
	discard func(ctx context.Context, container string) error
	// dial connects to a TCP address in a network namespace.
	dial func(ctx context.Context, netns, address string) (net.Conn, error)
	// clones counts the runs of git.
	clones atomic.Uint32
	log    *slog.Logger
}

func (e *engine) volumeDir(uid string) string { return filepath.Join(e.paths.Volumes, uid) }
func (e *engine) logDir(uid string) string    { return filepath.Join(e.paths.Logs, uid) }
func (e *engine) memoryDir(uid string) string { return filepath.Join(e.paths.Memory, uid) }
