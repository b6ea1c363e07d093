package groups

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/dns"
	"frankenetes.dev/embedded/network"
	"frankenetes.dev/embedded/store"
)

// stopGrace is how long containers have after SIGTERM when the whole cloud stops.
const stopGrace = 10 * time.Second

// Options are what a Service needs.
type Options struct {
	Store      *store.Store
	Identities Identities
	Shares     Shares
	Runtime    runtimeapi.RuntimeServiceClient
	Images     runtimeapi.ImageServiceClient
	// Discard ends what still runs of a container that has ended as the runtime
	// has it; nil means that there never is any.
	Discard func(ctx context.Context, container string) error
	Cgroups Cgroups
	Paths   Paths
	// Isolation keeps the groups apart.
	Isolation Isolation
	// MountMemory mounts a file system in memory at a directory; nil means tmpfs.
	MountMemory func(dir string) error
	// Dial connects to a TCP address in a network namespace; nil means just that.
	Dial func(ctx context.Context, netns, address string) (net.Conn, error)
	// Network gives groups their addresses and opens their ports, Subnets
	// finds those that they can be in.
	Network Network
	Subnets Subnets
	// Zone gets the groups' names, Resolver is the address of the DNS that serves it.
	Zone     *dns.Zone
	Resolver netip.Addr
	// PublishOn is the host address of ports that the publish tag asks for.
	PublishOn netip.Addr
	// Location is the cloud's only one; DNSSuffix ends the groups' names, and
	// Tenant, an id, is in those that come back to their tenant.
	Location, DNSSuffix, Tenant string
	// Registry is the host of images that are only in the local store.
	Registry string
	// Catalog knows whom images are for.
	Catalog Catalog
	Log     *slog.Logger
}

// Service is the container groups of a cloud.
type Service struct {
	options Options
	engine  *engine
	locks   locks
	ledger  *ledger
	arm     *arm.Server
	cancel  context.CancelFunc
	ctx     context.Context
	running sync.WaitGroup

	execs       *tickets[execution]
	attachments *tickets[run]
	// cutShort is when an earlier daemon began to end all groups, if it did not
	// live to do so; otherwise zero.
	cutShort time.Time

	mu     sync.Mutex
	groups map[string]*group
	names  map[string]string // full DNS names, with the key of the group that has each
}

// group is a container group in memory.
type group struct {
	key string

	mu         sync.Mutex
	record     record
	deployment *deployment // nil while nothing of it is in the runtime
	place      network.Place
	published  *published
	removed    bool // its record goes, or has gone, from the store
}

// New returns a service that follows the runtime's events. Call Resume before
// the first request and Stop in the end.
func New(o Options) *Service {
	s := &Service{options: o, ledger: newLedger(o.Location), groups: map[string]*group{}, names: map[string]string{},
		execs: newTickets[execution](ExecPath), attachments: newTickets[run](AttachPath)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	watcher := newWatcher(o.Runtime, o.Log)
	s.engine = &engine{cri: o.Runtime, images: o.Images, watcher: watcher, cgroups: o.Cgroups, shares: o.Shares, paths: o.Paths, isolation: o.Isolation,
		resolver: o.Resolver, registry: o.Registry, private: privateImages{o.Store}, mountMemory: o.MountMemory, dial: o.Dial, discard: o.Discard, log: o.Log}
	s.engine.expose = s.tellReadiness
	if s.engine.mountMemory == nil {
		s.engine.mountMemory = mountTmpfs
	}
	if s.engine.dial == nil {
		s.engine.dial = dialIn
	}
	if s.engine.discard == nil {
		s.engine.discard = func(context.Context, string) error { return nil }
	}
	s.running.Go(func() { watcher.run(s.ctx) })
	s.running.Go(func() { s.rotateLogs(s.ctx) })
	return s
}

// Resume takes over the groups that still run, starts those that should run
// and do not, and removes what belongs to no group.
func (s *Service) Resume(ctx context.Context) error {
	if err := s.resume(ctx, s.resumeGroup); err != nil {
		return err
	}
	s.running.Go(func() { s.keepSweeping(s.ctx) })
	return s.options.Store.Delete(stopKind, stopKey)
}

// resume reads the groups and has each handled, with what the runtime has of it.
func (s *Service) resume(ctx context.Context, handle func(context.Context, *group, *found)) error {
	ready, all, err := s.engine.find(ctx)
	if err != nil {
		return err
	}
	if s.cutShort, err = s.beganToStop(); err != nil {
		return err
	}
	if !s.cutShort.IsZero() {
		ready = nil // what is left was told to end, and shall
	}
	wanted := map[string]bool{}
	err = s.options.Store.Each(kind, "", func(key string, value []byte) error {
		g := &group{key: key}
		if err := json.Unmarshal(value, &g.record); err != nil {
			return fmt.Errorf("read container group %s: %w", key, err)
		}
		s.groups[key] = g
		s.ledger.known(key)
		if name := g.record.Group.fqdn(); name != "" {
			s.names[name] = key
		}
		wanted[g.record.UID] = true
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.sweep(ctx, wanted, all); err != nil {
		s.options.Log.Error("remains of groups that are no more are not removed", "error", err)
	}
	// Those that run have their addresses; nobody else may get one of them.
	for _, runs := range []bool{true, false} {
		var handling sync.WaitGroup
		for _, g := range s.groups {
			if found := ready[g.record.UID]; (found != nil) == runs {
				handling.Go(func() { handle(ctx, g, found) })
			}
		}
		handling.Wait()
	}
	return nil
}

// resumeGroup deploys a group as an earlier daemon left it.
func (s *Service) resumeGroup(ctx context.Context, g *group, found *found) {
	r := &g.record
	if err := s.publish(g, r.Group.Tags); err != nil {
		s.options.Log.Error("port is not published", "group", g.key, "error", err)
	}
	over := r.Stopped || r.Result != nil
	if !over && found == nil {
		var err error
		if over, err = s.noteUnseen(ctx, g); err != nil {
			s.options.Log.Error("how a group has ended is not noted", "group", g.key, "error", err)
		}
	}
	if over || found == nil { // what is there did not survive, or was to be ended
		if err := s.engine.removeDeployment(ctx, r.UID, 0); err != nil {
			s.options.Log.Error("remains of a group are not removed", "group", g.key, "error", err)
		}
	}
	if over {
		return
	}
	before := r.Addresses
	if err := s.join(g); err != nil {
		s.options.Log.Error("group does not resume", "group", g.key, "error", err)
		return
	}
	if found != nil && r.Addresses != before {
		// It runs at an address that the cloud does not have any more.
		if err := s.engine.removeDeployment(ctx, r.UID, 0); err != nil {
			s.options.Log.Error("group of another network is not removed", "group", g.key, "error", err)
		}
		found = nil
	}
	s.options.Log.Info("group resumes", "group", g.key, "adopted", found != nil)
	s.deploy(g, found)
}

// deploy starts the group's deployment. The caller holds the group's lock.
func (s *Service) deploy(g *group, found *found) {
	g.mu.Lock()
	defer g.mu.Unlock()
	spec := g.record.Group
	d := &deployment{key: g.key, uid: g.record.UID, group: &spec, status: newStatus(&spec, time.Now().UTC().Truncate(time.Second)), place: g.place}
	name := spec.fqdn()
	if name != "" {
		s.options.Zone.Expect(name)
	}
	if d.floor = g.record.Floor; found != nil {
		found.floor = d.floor
	}
	if spec.subnetID() != "" { // it has its address before anything runs
		d.status.setIP(g.place.Own().String())
	}
	d.address = func(addr netip.Addr) { s.moved(g, name, addr) }
	d.over = func() error { return s.over(g, d) }
	g.deployment = d
	s.ledger.deployed(g.key, &spec)
	g.record.Result, g.removed = nil, false
	s.engine.deploy(s.ctx, d, found, func() { s.ended(g, d) })
}

// moved tells everyone who connects to a group where it is now.
func (s *Service) moved(g *group, name string, addr netip.Addr) {
	if name != "" {
		if addr.IsValid() {
			s.options.Zone.Set(name, addr)
		} else {
			s.options.Zone.Expect(name)
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.published.point(addr)
}

// over puts the result of a group whose containers have all ended on record.
func (s *Service) over(g *group, d *deployment) error {
	result := d.status.snapshot()
	result.IP = ""
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.deployment != d || g.record.UID != d.uid || g.record.Stopped || g.removed {
		return nil // the record is ahead of it
	}
	next := g.record
	next.Result = &result
	if err := s.options.Store.Put(kind, g.key, next); err != nil {
		return err
	}
	g.record = next
	return nil
}

// ended takes note that nothing is left of a group that has ended.
func (s *Service) ended(g *group, d *deployment) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.deployment != d {
		return // replaced meanwhile
	}
	g.deployment = nil
	if g.record.Stopped || g.record.UID != d.uid {
		return // the record is ahead of it
	}
	s.leave(g.key, d.uid)
	s.ledger.idle(g.key)
	if name := d.group.fqdn(); name != "" {
		s.options.Zone.Remove(name)
	}
	s.options.Log.Info("group has ended", "group", g.key, "state", groupState(d.group, d.status.snapshot()))
}

// Count returns how many groups there are.
func (s *Service) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.groups)
}

// list returns the groups whose key has a prefix, in order.
func (s *Service) list(prefix string) []*group {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*group
	for key, g := range s.groups {
		if strings.HasPrefix(key, prefix) {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b *group) int { return cmp.Compare(a.key, b.key) })
	return list
}

func (s *Service) get(key string) *group {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.groups[key]
}
