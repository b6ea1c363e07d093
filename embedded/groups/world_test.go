package groups

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/dns"
	"frankenetes.dev/embedded/identity"
	"frankenetes.dev/embedded/images"
	"frankenetes.dev/embedded/network"
	"frankenetes.dev/embedded/store"
)

// fakeCgroups remembers which groups have control groups.
type fakeCgroups struct {
	mu   sync.Mutex
	live map[string]bool
}

func (c *fakeCgroups) Create(uid string, _, _ float64) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live[uid] = true
	return "/test/" + uid, nil
}

func (c *fakeCgroups) Delete(uid string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.live, uid)
	return nil
}

func (c *fakeCgroups) Kill(string, string) error { return nil }
func (c *fakeCgroups) Close() error              { return nil }

func (c *fakeCgroups) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.live)
}

// fakeShares has one share, "data" of "account", with key "a2V5".
type fakeShares struct{ dir string }

func (s fakeShares) SharePath(account, share, key string) (string, error) {
	if account != "account" || share != "data" || key != "a2V5" {
		return "", ErrNoShare
	}
	return s.dir, nil
}

// noShares has none.
type noShares struct{}

func (noShares) SharePath(string, string, string) (string, error) { return "", ErrNoShare }

// fakeNetwork gives out 10.77.0.1 and so on, nothing twice, and remembers who
// has what.
type fakeNetwork struct {
	mu      sync.Mutex
	serial  byte
	members map[string]network.Place
	open    map[string][]network.Opening
	closed  map[string][]network.Opening
}

func newFakeNetwork() *fakeNetwork {
	return &fakeNetwork{members: map[string]network.Place{}, open: map[string][]network.Opening{}, closed: map[string][]network.Opening{}}
}

const knownSubnet = "/subscriptions/" + testSub + "/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/s"

// fakeSubnets knows one subnet.
type fakeSubnets struct{}

func (f fakeSubnets) Join(id string, fn func() error) error {
	if _, err := f.Subnet(id); err != nil {
		return err
	}
	return fn()
}

func (fakeSubnets) Subnet(id string) (network.Subnet, error) {
	if !strings.EqualFold(id, knownSubnet) {
		return network.Subnet{}, arm.NotFound("Microsoft.Network/virtualNetworks/subnets", id, "g")
	}
	return network.Subnet{ID: knownSubnet, Network: "v", Prefix: netip.MustParsePrefix("10.1.0.0/24")}, nil
}

func (n *fakeNetwork) Join(r network.Request) (network.Place, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p, ok := n.members[r.Deployment]; ok {
		return p, nil
	}
	p := network.Place{Addresses: r.Last}
	for other := range maps.Values(n.members) {
		if other.Cloud == p.Cloud {
			p.Cloud = netip.Addr{}
		}
	}
	if !p.Cloud.IsValid() {
		n.serial++
		p.Cloud = netip.AddrFrom4([4]byte{10, 77, 0, n.serial})
	}
	if r.Subnet != nil && !p.Private.IsValid() {
		p.Private = netip.AddrFrom4([4]byte{10, 1, 0, n.serial})
	}
	n.members[r.Deployment] = p
	return p, nil
}

func (n *fakeNetwork) Expose(deployment string, open, closed []network.Opening) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open[deployment], n.closed[deployment] = open, closed
	return nil
}

func (n *fakeNetwork) Leave(deployment string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.members, deployment)
	delete(n.open, deployment)
	delete(n.closed, deployment)
	return nil
}

func (n *fakeNetwork) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.members)
}

// fakeIdentities knows one identity, and which groups have one of their own.
type fakeIdentities struct {
	mu  sync.Mutex
	own map[string]bool
	// anew counts how often the one was deleted and made again.
	anew int
}

func (f *fakeIdentities) AssignSystem(id string) (string, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.own[strings.ToLower(id)] = true
	return "own-principal", testTenant, nil
}

func (f *fakeIdentities) UnassignSystem(id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.own, strings.ToLower(id))
	return nil
}

// remake deletes the identity and makes it again under its name.
func (f *fakeIdentities) remake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.anew++
}

func (f *fakeIdentities) assigned() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.own)
}

func (f *fakeIdentities) UserAssigned(id string) (identity.UserAssigned, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !strings.HasSuffix(id, "/userAssignedIdentities/known") {
		return identity.UserAssigned{}, store.ErrNotFound
	}
	return identity.UserAssigned{ID: id, ClientID: "client", PrincipalID: "principal" + strings.Repeat("'", f.anew)}, nil
}

const testImage = "frankenetes.internal/test:1"

// world is a service with everything around it.
type world struct {
	runtime    *fakeRuntime
	cgroups    *fakeCgroups
	network    *fakeNetwork
	zone       *dns.Zone
	identities *fakeIdentities
	store      *store.Store
	dir        string
	options    Options
}

func newWorld(t *testing.T) *world {
	w := &world{runtime: newFakeRuntime(testImage), cgroups: &fakeCgroups{live: map[string]bool{}}, network: newFakeNetwork(), zone: dns.NewZone(), identities: &fakeIdentities{own: map[string]bool{}}, dir: t.TempDir()}
	var err error
	if w.store, err = store.Open(filepath.Join(w.dir, "db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	cri, images := w.runtime.serve(t)
	w.options = Options{
		Store: w.store, Identities: w.identities, Shares: fakeShares{w.dir}, Runtime: cri, Images: images, Discard: w.runtime.discard, Cgroups: w.cgroups,
		Paths:       Paths{Volumes: filepath.Join(w.dir, "volumes"), Logs: filepath.Join(w.dir, "logs"), Memory: filepath.Join(w.dir, "memory")},
		MountMemory: func(string) error { return nil }, Network: w.network, Subnets: fakeSubnets{}, Zone: w.zone, Resolver: netip.MustParseAddr("10.77.0.1"),
		PublishOn: netip.MustParseAddr("127.0.0.1"), Location: "local", Tenant: testTenant, DNSSuffix: "azurecontainer.io", Registry: "frankenetes.internal", Catalog: fakeCatalog{},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	return w
}

// fakeCatalog knows a registry that is down, and one that lets only "me" in.
// What is called loaded was loaded.
type fakeCatalog struct{}

func (fakeCatalog) Shared(_ context.Context, image string) (bool, error) {
	return strings.HasSuffix(image, ":loaded"), nil
}

func (fakeCatalog) Look(_ context.Context, image string, as images.Account) (string, error) {
	server, _, _ := strings.Cut(image, "/")
	switch {
	case server == "down.example":
		return server, fmt.Errorf("look: %w", images.ErrRegistry)
	case server == "closed.example" && as != images.Account{Username: "me", Password: "secret"}:
		return server, fmt.Errorf("look: %w", images.ErrNoImage)
	}
	return server, nil
}

// newTestDeployment returns a deployment that no validator has seen.
func newTestDeployment(e *engine, name string, containers ...Container) *deployment {
	for i := range containers {
		half := decimal(0.5)
		containers[i].Properties.Resources = &Resources{Requests: &Amount{CPU: &half, MemoryInGB: &half}}
	}
	g := &Group{Name: name, Properties: Properties{Containers: containers, RestartPolicy: always}}
	return &deployment{key: name, uid: newUID(), group: g, status: newStatus(g, time.Now()), address: func(netip.Addr) {}, over: func() error { return nil }}
}
