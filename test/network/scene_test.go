package networktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"frankenetes.dev/embedded/network"
	"frankenetes.dev/embedded/network/attach"
	"frankenetes.dev/embedded/network/links"
)

const (
	id   = "01234567"
	port = 53 // that every group and every service answers at
	// The askers that are no groups.
	host, world = "host", "world"
	// What can come of an attempt, beside an answer.
	silence, refusal = "silence", "refusal"
	hostInWorld      = "192.0.2.1"
	// enough is how long an answer takes at most, a packet or two that a busy
	// machine lost and that are sent again included; whoever waits longer
	// waits for nothing.
	enough = 5 * time.Second
)

// world1 is somebody out in the world.
var world1 = netip.MustParseAddr("192.0.2.2")

// attempt is one try to reach somebody.
type attempt struct {
	what string
	from string // a group, which may add a slash and whom it claims to be
	to   netip.Addr
	want string
}

// scene is a host with a network, groups and the world beyond.
type scene struct {
	t       *testing.T
	options network.Options
	network *network.Network
	dir     string
	groups  map[string]*group
}

type group struct {
	request   network.Request
	place     network.Place
	namespace string
}

func newWorld(t *testing.T) *scene {
	t.Helper()
	w := &scene{t: t, dir: t.TempDir(), groups: map[string]*group{}}
	pool, err := network.Claim(id, netip.Prefix{})
	if err != nil {
		t.Fatal(err)
	}
	w.options = network.Options{ID: id, Pool: pool, Namespaces: filepath.Join(w.dir, "n"), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Services: []network.Service{{Address: network.ServiceAddress, Port: port, Listens: 20053}}}
	t.Cleanup(w.end)
	w.restart()
	w.settle()
	listener, err := net.Listen("tcp", netip.AddrPortFrom(network.Gateway(pool), 20053).String())
	if err != nil {
		t.Fatal(err)
	}
	answer(t, "service", listener)
	w.beyond()
	return w
}

// restart is a new daemon, to which every group that is known comes again.
func (w *scene) restart() {
	w.t.Helper()
	var err error
	if w.network, err = network.Up(w.options); err != nil {
		w.t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(w.groups)) {
		g := w.groups[name]
		g.request.Last = g.place.Addresses
		place, err := w.network.Join(g.request)
		if err != nil || place.Addresses != g.place.Addresses {
			w.t.Fatalf("%s joins again: %v, had %v, %v", name, place.Addresses, g.place.Addresses, err)
		}
	}
}

func (w *scene) settle() {
	w.t.Helper()
	if err := w.network.Settle(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *scene) end() {
	for _, g := range w.groups {
		if err := links.RemoveNamespace(g.namespace); err != nil {
			w.t.Error(err)
		}
	}
	if err := errors.Join(network.Down(w.options), w.unbeyond()); err != nil {
		w.t.Error(err)
	}
}

// add makes a group, as the container runtime would, and has it answer.
func (w *scene) add(name string, s *network.Subnet) {
	w.t.Helper()
	g := &group{request: network.Request{Deployment: name, Subnet: s}, namespace: filepath.Join(w.dir, name)}
	place, err := w.network.Join(g.request)
	if err == nil {
		g.place = place
		w.groups[name] = g
		err = links.NewNamespace(g.namespace)
	}
	var plan attach.Plan
	if err == nil {
		plan, err = attach.FromAnnotations(place.Annotations)
	}
	if err == nil {
		_, err = attach.Attach(g.namespace, "eth0", plan)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.listen(name, g.namespace)
}

func (w *scene) listen(name, namespace string) {
	w.t.Helper()
	var listener net.Listener
	err := within(namespace, func() (err error) {
		listener, err = net.Listen("tcp4", fmt.Sprintf("0.0.0.0:%d", port))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	answer(w.t, name, listener)
}

func within(namespace string, fn func() error) error {
	handle, err := links.OpenNamespace(namespace)
	if err != nil {
		return err
	}
	defer handle.Close()
	return links.Within(handle, fn)
}

// answer says to everyone who connects whom it was taken for.
func answer(t *testing.T, name string, listener net.Listener) {
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			seen, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			_, _ = io.WriteString(conn, name+" saw "+seen)
			conn.Close()
		}
	})
	t.Cleanup(func() { listener.Close(); serving.Wait() })
}

func (w *scene) at(name string) network.Addresses { return w.groups[name].place.Addresses }

func (w *scene) expose(name string, open, closed []network.Opening) {
	w.t.Helper()
	if err := w.network.Expose(name, open, closed); err != nil {
		w.t.Fatal(err)
	}
}

// remove ends a group.
func (w *scene) remove(name string) {
	w.t.Helper()
	w.forget(name)
	if err := w.network.Leave(name); err != nil {
		w.t.Fatal(err)
	}
}

// forget ends a group without anybody knowing.
func (w *scene) forget(name string) {
	w.t.Helper()
	if err := attach.Detach(w.groups[name].namespace, "eth0"); err != nil {
		w.t.Fatal(err)
	}
	if err := links.RemoveNamespace(w.groups[name].namespace); err != nil {
		w.t.Fatal(err)
	}
	delete(w.groups, name)
}

// alsoHas gives a group's interface addresses that are not its own.
func (w *scene) alsoHas(name string, addresses ...netip.Addr) {
	w.t.Helper()
	err := within(w.groups[name].namespace, func() error {
		link, err := netlink.LinkByName("eth0")
		for _, a := range addresses {
			err = errors.Join(err, netlink.AddrAdd(link, &netlink.Addr{IPNet: links.Single(a)}))
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// expect makes all attempts, side by side, since silence takes its time.
func (w *scene) expect(attempts []attempt) {
	w.t.Helper()
	var trying sync.WaitGroup
	for _, a := range attempts {
		trying.Go(func() {
			if got := w.try(a); got != a.want {
				w.t.Errorf("%s (%s to %s): %s, want %s", a.what, a.from, a.to, got, a.want)
			}
		})
	}
	trying.Wait()
}

func (w *scene) try(a attempt) string {
	from, as, _ := strings.Cut(a.from, "/")
	dialer := net.Dialer{Timeout: enough}
	if as != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(as)}
	}
	var heard []byte
	ask := func() error {
		conn, err := dialer.DialContext(context.Background(), "tcp4", netip.AddrPortFrom(a.to, port).String())
		if err != nil {
			return err
		}
		defer conn.Close()
		heard, err = io.ReadAll(conn)
		return err
	}
	var err error
	switch {
	case from == host:
		err = ask()
	case from == world:
		err = within(w.worldPath(), ask)
	default:
		err = within(w.groups[from].namespace, ask)
	}
	var timeout net.Error
	switch {
	case err == nil:
		return string(heard)
	case errors.Is(err, syscall.EHOSTUNREACH):
		return refusal
	case errors.As(err, &timeout) && timeout.Timeout():
		return silence
	default:
		return err.Error()
	}
}

func (w *scene) worldPath() string { return filepath.Join(w.dir, world) }

// beyond makes the world: somebody else's machine, at the end of a cable.
func (w *scene) beyond() {
	w.t.Helper()
	if err := links.NewNamespace(w.worldPath()); err != nil {
		w.t.Fatal(err)
	}
	namespace, err := links.OpenNamespace(w.worldPath())
	if err != nil {
		w.t.Fatal(err)
	}
	defer namespace.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "cable"
	err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "cable", PeerNamespace: netlink.NsFd(int(namespace))})
	up := func(address string) func() error {
		return func() error {
			link, err := netlink.LinkByName("cable")
			if err != nil {
				return err
			}
			addr, err := netlink.ParseAddr(address + "/30")
			if err != nil {
				return err
			}
			return errors.Join(netlink.AddrAdd(link, addr), netlink.LinkSetUp(link))
		}
	}
	if err == nil {
		err = errors.Join(up(hostInWorld)(), links.Within(namespace, up(world1.String())), links.Within(namespace, w.route))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.listen(world, w.worldPath())
}

// route has the world send everything to the host: it knows the way.
func (w *scene) route() error {
	return netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(hostInWorld)})
}

func (w *scene) unbeyond() error {
	link, err := netlink.LinkByName("cable")
	if err == nil {
		err = netlink.LinkDel(link)
	}
	return errors.Join(err, links.RemoveNamespace(w.worldPath()))
}

// routers are the network namespaces of virtual networks.
func (w *scene) routers() []string {
	entries, err := os.ReadDir(w.options.Namespaces)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// everything that the network has made on the host.
func (w *scene) everything() []string {
	left := w.routers()
	all, err := links.Whole(netlink.LinkList)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, link := range all {
		if strings.HasPrefix(link.Attrs().Name, "fk") {
			left = append(left, link.Attrs().Name)
		}
	}
	routes, err := netlink.RouteList(nil, unix.AF_INET)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range routes {
		if r.Dst != nil && !strings.HasPrefix(r.Dst.String(), "192.0.2.") {
			left = append(left, "route to "+r.Dst.String())
		}
	}
	return left
}
