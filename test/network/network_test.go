package networktest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"frankenetes.dev/embedded/network"
	"frankenetes.dev/embedded/network/links"
)

// inside is set in the process that has a network namespace of its own.
const inside = "FRANKENETES_NETWORK_TEST"

// TestMain runs the tests again in network and mount namespaces of their own:
// there, they are the whole host.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	err := cmd.Run()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		os.Exit(ended.ExitCode())
	case err != nil:
		fmt.Fprintf(os.Stderr, "tests of networks need root: call them by `make e2e`: %v\n", err)
		os.Exit(1)
	}
}

func prefixes(words ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, w := range words {
		list = append(list, netip.MustParsePrefix(w))
	}
	return list
}

// subnet is one of a virtual network whose range others may have too.
func subnet(of string) *network.Subnet {
	return &network.Subnet{ID: of + "/subnets/groups", Network: of, Space: prefixes("10.0.0.0/16"), Prefix: netip.MustParsePrefix("10.0.1.0/24"), Outbound: true}
}

// populate puts groups into two virtual networks of the same range, and into
// the public network.
func populate(w *scene) {
	w.add("one-a", subnet("one"))
	w.add("one-b", subnet("one"))
	w.add("two-a", subnet("two"))
	confined := subnet("three")
	confined.Outbound = false
	w.add("three-a", confined)
	w.add("public-a", nil)
	w.add("public-b", nil)
	w.expose("public-a", []network.Opening{{Port: port}}, nil)
}

func TestWhoReachesWhom(t *testing.T) {
	w := newWorld(t)
	populate(w)
	for _, again := range []string{"first daemon", "second daemon"} {
		t.Run(again, func(t *testing.T) {
			w.t = t
			w.expect(outcomes(w))
		})
		w.t = t
		w.restart()
		w.expose("public-a", []network.Opening{{Port: port}}, nil)
		w.settle()
	}
}

// outcomes are what is to come of each attempt: who answers, as whom the
// asker was seen, or that nothing comes or that it is refused.
func outcomes(w *scene) []attempt {
	gateway := network.Gateway(w.options.Pool).String()
	a, b, two := w.at("one-a"), w.at("one-b"), w.at("two-a")
	return []attempt{
		{"within a network, by the own address", "one-a", b.Private, "one-b saw " + a.Private.String()},
		{"within a network, by the cloud's address", "one-a", b.Cloud, silence},
		{"an address that nobody has", "one-a", netip.MustParseAddr("10.0.1.99"), refusal},
		{"into another network", "one-a", two.Cloud, silence},
		{"out of a network to an open port", "one-a", w.at("public-a").Cloud, "public-a saw " + a.Cloud.String()},
		{"out of a network without outbound to an open port", "three-a", w.at("public-a").Cloud, "public-a saw " + w.at("three-a").Cloud.String()},
		{"out of a network to a closed port", "one-a", w.at("public-b").Cloud, silence},
		{"from the public into a network", "public-a", b.Cloud, silence},
		{"from the public to a private address", "public-a", b.Private, silence},
		{"among the public, open", "public-b", w.at("public-a").Cloud, "public-a saw " + w.at("public-b").Cloud.String()},
		{"among the public, closed", "public-a", w.at("public-b").Cloud, silence},
		{"a service", "one-a", network.ServiceAddress, "service saw " + a.Cloud.String()},
		{"a service, from the same address of another network", "two-a", network.ServiceAddress, "service saw " + two.Cloud.String()},
		{"a private address that is not the network's", "one-a", netip.MustParseAddr("10.32.0.1"), refusal},
		{"the world", "one-a", world1, "world saw " + hostInWorld},
		{"the world, from a network without outbound", "three-a", world1, silence},
		{"the world, from the public", "public-b", world1, "world saw " + hostInWorld},
		{"the host into a network, by the own address", host, b.Private, "one-b saw " + gateway},
		{"the host to an address that nobody has", host, netip.MustParseAddr("10.0.1.99"), refusal},
		{"the host into a network, by the cloud's address", host, b.Cloud, "one-b saw " + gateway},
		{"the host into a network of the same range", host, two.Cloud, "two-a saw " + gateway},
		{"the host to an open port", host, w.at("public-a").Cloud, "public-a saw " + gateway},
		{"the host to a closed port", host, w.at("public-b").Cloud, silence},
		{"the world into a network", world, b.Private, silence},
		{"the world to an open port", world, w.at("public-a").Cloud, silence},
		{"the world to a service", world, network.Gateway(w.options.Pool), silence},
	}
}

func TestContainersThatAreNotReady(t *testing.T) {
	w := newWorld(t)
	populate(w)
	b := w.at("one-b")
	w.expose("one-b", nil, []network.Opening{{Port: port}})
	w.expect([]attempt{{"a closed port", "one-a", b.Private, silence}, {"from the host", host, b.Cloud, silence}})
	w.expose("one-b", nil, []network.Opening{{UDP: true, Port: port}, {Port: port + 1}})
	w.expect([]attempt{{"a port of another number or protocol", "one-a", b.Private, "one-b saw " + w.at("one-a").Private.String()}})
}

func TestNobodySpeaksAsAnother(t *testing.T) {
	w := newWorld(t)
	populate(w)
	a, b := w.at("one-a"), w.at("one-b")
	w.alsoHas("one-a", w.at("two-a").Cloud, netip.MustParseAddr("10.0.1.77"))
	w.alsoHas("public-b", a.Cloud, w.at("public-a").Cloud)
	w.expect([]attempt{
		{"as nobody", "one-a/10.0.1.77", b.Private, silence},
		{"as the cloud sees one of another network", "one-a/" + w.at("two-a").Cloud.String(), network.ServiceAddress, silence},
		{"as the cloud sees one of a network", "public-b/" + a.Cloud.String(), network.ServiceAddress, silence},
		{"as another of the public", "public-b/" + w.at("public-a").Cloud.String(), network.ServiceAddress, silence},
	})
}

func TestWhatIsLeftBehind(t *testing.T) {
	w := newWorld(t)
	populate(w)
	if left := w.routers(); len(left) != 3 {
		t.Errorf("routers: %v", left)
	}
	if got := w.network.NetworkAt(w.at("two-a").Cloud); got != "two" {
		t.Errorf("two-a is in the network %q", got)
	}
	two := w.at("two-a")
	w.remove("one-a")
	w.expect([]attempt{{"the host, into the network that had the range first", host, w.at("one-b").Private, "one-b saw " + network.Gateway(w.options.Pool).String()}})
	w.remove("one-b")
	w.expect([]attempt{{"the host, into the next network of the range", host, two.Private, "two-a saw " + network.Gateway(w.options.Pool).String()}})
	if left := w.routers(); len(left) != 2 {
		t.Errorf("routers when one network is empty: %v", left)
	}
	// A daemon that starts, and one of whose groups is no more.
	w.forget("two-a")
	w.restart()
	w.settle()
	if left := w.routers(); len(left) != 1 {
		t.Errorf("routers after a start: %v", left)
	}
	if err := network.Down(w.options); err != nil {
		t.Error(err)
	}
	if left := w.everything(); len(left) != 0 {
		t.Errorf("left after the end: %v", left)
	}
}

func TestOutboundComesAndGoes(t *testing.T) {
	w := newWorld(t)
	populate(w)
	allow := func(outbound bool) {
		err := w.network.Refresh(func(id string) (network.Subnet, error) {
			s := subnet("three")
			s.Outbound = outbound
			if id != s.ID {
				return *s, errors.New("not asked for")
			}
			return *s, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	allow(true)
	w.expect([]attempt{{"allowed", "three-a", world1, "world saw " + hostInWorld}})
	allow(false)
	w.expect([]attempt{{"not any more", "three-a", world1, silence}})
}

// TestClaimsAreKnownAgain claims addresses for clouds whose daemons die before
// they have noted which.
func TestClaimsAreKnownAgain(t *testing.T) {
	ids := []string{"0000000a", "0000000b"}
	claim := func(id string) netip.Prefix {
		t.Helper()
		pool, err := network.Claim(id, netip.Prefix{})
		if err != nil {
			t.Fatal(err)
		}
		return pool
	}
	first, second := claim(ids[0]), claim(ids[1])
	if first == second {
		t.Errorf("both clouds have %s", first)
	}
	if again := claim(ids[0]); again != first {
		t.Errorf("the first cloud had %s and claims %s", first, again)
	}
	// The daemon dies between the gateway's address and the claim.
	route := &netlink.Route{Dst: links.IPNet(second), Type: unix.RTN_UNREACHABLE, Table: unix.RT_TABLE_MAIN}
	if err := netlink.RouteDel(route); err != nil {
		t.Fatal(err)
	}
	if again := claim(ids[1]); again != second {
		t.Errorf("the second cloud had %s and claims %s", second, again)
	}
	if err := netlink.RouteDel(route); err != nil {
		t.Errorf("the claim is not there again: %v", err)
	}
	for i, pool := range []netip.Prefix{first, second} {
		if err := network.Down(network.Options{ID: ids[i], Pool: pool, Namespaces: t.TempDir()}); err != nil {
			t.Error(err)
		}
	}
	left, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Type: unix.RTN_UNREACHABLE}, netlink.RT_FILTER_TYPE)
	if err != nil || len(left) != 0 {
		t.Errorf("routes are left: %v, %v", left, err)
	}
}
