package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/containerd/containerd/v2/pkg/namespaces"
	"golang.org/x/sync/errgroup"

	"frankenetes.dev/cloud"
	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/containerd"
	"frankenetes.dev/embedded/dns"
	"frankenetes.dev/embedded/groups"
	"frankenetes.dev/embedded/identity"
	"frankenetes.dev/embedded/images"
	"frankenetes.dev/embedded/isolation"
	"frankenetes.dev/embedded/network"
	networks "frankenetes.dev/embedded/network/resources"
	"frankenetes.dev/embedded/storage"
	"frankenetes.dev/embedded/store"
)

const (
	dnsSuffix = "azurecontainer.io"
	// domain is the cloud's own; its registry has the name itself.
	domain         = "frankenetes.internal"
	managementName = "management." + domain
	loginName      = "login." + domain
	filesName      = "files." + domain
	sandboxImage   = domain + "/pause:1"
)

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// daemon is a running embedded cloud, its parts in the order in which they
// depend on one another.
type daemon struct {
	options   Options
	began     time.Time
	lock      *homeLock
	store     *store.Store
	settings  settings
	pool      netip.Prefix // of addresses, once claimed
	network   *network.Network
	runtime   *containerd.Runtime
	isolation groups.Isolation
	ending    bool // what a dead daemon left is ended, and nothing else
	inherited bool // containers of an earlier daemon were there at the start
	images    *images.Store
	zone      *dns.Zone
	dns       *dns.Server
	authority *identity.Authority
	arm       *arm.Server
	networks  *networks.Service
	storage   *storage.Service
	cgroups   groups.Cgroups
	groups    *groups.Service
	servers   *servers
	status    *statusServer
	config    cloud.Config
}

// Run is the daemon. It calls ready once the cloud answers and everything that
// should run was told to, and returns when ctx is done and all is taken down
// but the data directory.
func Run(ctx context.Context, o Options, ready func(cloud.Config)) error {
	parent := readyPipe()
	err := run(ctx, o, func(c cloud.Config) {
		parent.tell(nil)
		ready(c)
	})
	parent.tell(err)
	return err
}

func run(ctx context.Context, o Options, ready func(cloud.Config)) (err error) {
	if err := requireRoot(); err != nil {
		return err
	}
	if o, err = o.withDefaults(); err != nil {
		return err
	}
	d := &daemon{options: o, began: time.Now()}
	if err := d.open(); err != nil {
		return errors.Join(err, d.close())
	}
	if err := d.up(ctx); err != nil {
		o.Log.Error("the embedded cloud does not start", "error", err)
		return errors.Join(err, d.abandon(ctx))
	}
	o.Log.Info("the embedded cloud runs", "endpoint", d.config.ResourceManager, "addresses", d.pool,
		"groups", d.groups.Count(), "took", time.Since(d.began).Round(time.Millisecond))
	d.status.set(answers(d.report, d.answerImages, d.answerPrincipals, d.answerLimits))
	ready(d.config)
	<-ctx.Done()
	d.status.set(nil)
	o.Log.Info("the embedded cloud stops")
	err = d.down(ctx)
	o.Log.Info("the embedded cloud has stopped", "error", err)
	return err
}

// open takes the data directory.
func (d *daemon) open() error {
	o := d.options
	err := openDirectory(o.Home, 0o700)
	if err != nil {
		return err
	}
	if d.lock, err = takeLock(o.Home, d.ending); err != nil {
		return err
	}
	// A group's first process, which is not root out here, has to pass through
	// to its own files; what else is in there is for root alone.
	for _, dir := range []string{o.runtimeDir, o.state()} {
		if err := openDirectory(dir, 0o711); err != nil {
			return err
		}
	}
	d.inherited = o.containerd().InUse()
	if d.status, err = serveStatus(o); err != nil {
		return err
	}
	if d.store, err = openStore(o.in("cloud.db"), ConfigPath(o.Home)); err != nil {
		if errors.Is(err, store.ErrLocked) {
			return fmt.Errorf("%w: %w", ErrLocked, err)
		}
		return err
	}
	d.settings, err = loadSettings(d.store)
	return err
}

// openStore opens the database. Where the directory has been used and the
// database is not there, making a new one would forget every group and remove
// what it finds of them.
func openStore(path, config string) (*store.Store, error) {
	_, err := os.Stat(path)
	if _, configErr := os.Stat(config); errors.Is(err, os.ErrNotExist) && configErr == nil {
		return nil, fmt.Errorf("open store %s: %w: it is gone", path, store.ErrDamaged)
	}
	return store.Open(path)
}

// openDirectory makes a directory with a mode, whatever the umask says and
// whatever it had before.
func openDirectory(dir string, mode os.FileMode) error {
	err := os.MkdirAll(dir, mode)
	if err == nil {
		err = os.Chmod(dir, mode)
	}
	if err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	return nil
}

func (d *daemon) close() error {
	var err error
	if d.status != nil {
		d.status.close()
	}
	if d.store != nil {
		err = d.store.Close()
	}
	if d.lock != nil {
		_ = os.Remove(d.options.state()) // unless there is anything in it
		d.lock.release()
	}
	return err
}

// ground starts what groups stand on: parts that do not need each other side by
// side. importing says whether the product's own images are to be there.
func (d *daemon) ground(ctx context.Context, importing bool) error {
	o := d.options
	if err := d.claimAddresses(); err != nil {
		return err
	}
	if err := network.WriteCNI(o.id(), o.state()+"/cni", o.Tools+"/cni"); err != nil {
		return err
	}
	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error {
		if err := d.startRuntime(workCtx); err != nil || !importing {
			return err
		}
		return d.images.Import(inNamespace(workCtx), o.Images)
	})
	work.Go(d.startNetwork)
	work.Go(d.openControlPlane)
	work.Go(d.decideIsolation)
	if err := work.Wait(); err != nil {
		return err
	}
	d.startGroups()
	return d.startLimits()
}

// up starts all the parts.
func (d *daemon) up(ctx context.Context) error {
	if err := d.ground(ctx, true); err != nil {
		return err
	}
	if err := d.groups.Resume(ctx); err != nil {
		return err
	}
	if err := d.network.Settle(); err != nil {
		d.options.Log.Error("remains of groups that are no more are not removed", "error", err)
	}
	// From here on every name is known: nobody is told that there is none.
	if err := d.startDNS(); err != nil {
		return err
	}
	if err := d.listen(); err != nil {
		return err
	}
	if err := d.arm.ResumeDeletions(); err != nil {
		return err
	}
	return d.writeConfig()
}

// networkOptions describe the network, with the services as groups see them.
func (d *daemon) networkOptions() network.Options {
	p, at := d.settings.Ports, network.ServiceAddress
	return network.Options{ID: d.options.id(), Pool: d.pool, Namespaces: d.options.state() + "/n", Log: d.options.Log, Services: []network.Service{
		{Address: network.MetadataAddress, Port: 80, Listens: p.Metadata},
		{Address: at, Port: 53, Listens: p.DNS},
		{Address: at, Port: 53, Listens: p.DNS, UDP: true},
		{Address: at, Port: 443, Listens: p.Registry},
		{Address: at, Port: p.Management, Listens: p.Management},
		{Address: at, Port: p.Files, Listens: p.Files},
	}}
}

func (d *daemon) startNetwork() error {
	var err error
	d.network, err = network.Up(d.networkOptions())
	return err
}

// containerd says where the cloud's containerd lives.
func (o Options) containerd() containerd.Options {
	return containerd.Options{
		Tools: o.Tools, Root: o.in("containerd"), State: o.state() + "/c", CNI: o.state() + "/cni", SandboxImage: sandboxImage, Log: o.Log,
	}
}

// startRuntime starts containerd and opens its image store.
func (d *daemon) startRuntime(ctx context.Context) error {
	o := d.options
	var err error
	if d.runtime, err = containerd.Start(ctx, o.containerd()); err != nil {
		return err
	}
	o.Log.Info("containerd runs", "adopted", d.runtime.Adopted(), "took", time.Since(d.began).Round(time.Millisecond))
	d.images = &images.Store{Client: d.runtime.Client(), CRI: d.runtime.Images(), Log: o.Log}
	return d.images.Tidy(inNamespace(ctx))
}

// inNamespace puts a context into the containerd namespace of the groups.
func inNamespace(ctx context.Context) context.Context {
	return namespaces.WithNamespace(ctx, containerd.Namespace)
}

// decideIsolation finds out how far groups can be kept from the host.
func (d *daemon) decideIsolation() error {
	o := d.options
	// Layers, volumes and shares are on the one, secrets on the other.
	userNamespaces, err := isolation.Decide(o.Isolation, []string{o.Home, o.state()}, o.Log)
	if err != nil {
		return err
	}
	d.isolation.Filter = o.state() + "/seccomp.json"
	if userNamespaces {
		d.isolation.IDs = isolation.NewIDs(o.id())
	}
	return isolation.WriteFilter(d.isolation.Filter)
}

// startDNS serves the groups' names and the cloud's own.
func (d *daemon) startDNS() error {
	gateway := network.Gateway(d.pool)
	var err error
	d.dns, err = dns.Listen(dns.Options{
		Address: netip.AddrPortFrom(gateway, d.settings.Ports.DNS), Zone: d.zone, Private: d.nameIn,
		Suffixes: []string{domain, d.options.Location + "." + dnsSuffix}, Log: d.options.Log,
	})
	return err
}

func (d *daemon) startGroups() {
	o := d.options
	d.zone = dns.NewZone()
	for _, name := range []string{domain, managementName, loginName, filesName} {
		d.zone.Set(name, network.ServiceAddress)
	}
	d.cgroups = groups.NewCgroups("/frankenetes-" + o.id())
	d.groups = groups.New(groups.Options{
		Store: d.store, Identities: d.authority, Shares: d.storage,
		Runtime: d.runtime.CRI(), Images: d.runtime.Images(), Discard: d.runtime.Discard, Cgroups: d.cgroups,
		Paths:     groups.Paths{Volumes: o.in("volumes"), Logs: o.in("logs"), Memory: o.state() + "/m"},
		Isolation: d.isolation, Network: d.network, Subnets: subnets{d.networks}, Zone: d.zone, Resolver: network.ServiceAddress, PublishOn: loopback,
		Location: o.Location, DNSSuffix: dnsSuffix, Tenant: d.settings.Tenant, Registry: domain, Catalog: catalog{d.images}, Log: o.Log,
	})
	d.groups.Register(d.arm)
}

// abandon gives up a start. Groups that ran before it go on running, and all
// that they need stays: the next start takes them over.
func (d *daemon) abandon(ctx context.Context) error {
	if !d.inherited {
		return d.down(ctx)
	}
	d.closeFront(ctx)
	var err error
	if d.groups != nil {
		err = d.groups.Release()
	}
	return errors.Join(err, d.letGo())
}

// letGo ends the daemon's own parts and leaves what groups need.
func (d *daemon) letGo() error {
	var errs []error
	if d.dns != nil {
		errs = append(errs, d.dns.Close())
	}
	if d.runtime != nil {
		errs = append(errs, d.runtime.Release())
	}
	return errors.Join(append(errs, d.close())...)
}

// closeFront ends what clients ask.
func (d *daemon) closeFront(ctx context.Context) {
	if d.servers != nil {
		d.servers.close(ctx)
	}
	if d.arm != nil {
		d.arm.Close()
	}
}

// downTimeout bounds the end of a cloud. Hundreds of groups on a busy machine
// take minutes; cut short, those that were killed would seem to have failed.
const downTimeout = 10 * time.Minute

// down stops the parts in the opposite order: first who asks, then the groups,
// then what they stand on. It goes on when one of them fails, unless groups
// are left: without network and containerd nobody could take them down later.
func (d *daemon) down(ctx context.Context) error {
	ctx, cancel := detach(ctx, downTimeout)
	defer cancel()
	d.closeFront(ctx)
	var errs []error
	if d.groups != nil {
		if err := d.groups.Stop(ctx); err != nil {
			return fmt.Errorf("stop the embedded cloud: %w", errors.Join(err, d.letGo()))
		}
		errs = append(errs, d.cgroups.Close())
	}
	if d.dns != nil {
		errs = append(errs, d.dns.Close())
	}
	if d.runtime != nil {
		errs = append(errs, d.runtime.Stop(ctx))
	}
	errs = append(errs, network.Down(d.networkOptions()), removeState(d.options.state()), d.close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop the embedded cloud: %w", err)
	}
	return nil
}
