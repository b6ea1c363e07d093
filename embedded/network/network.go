// Package network gives container groups their addresses and decides who
// reaches whom: the groups of a public cloud, those of virtual networks, the
// host, and everyone beyond it. It exists apart from containerd because all of
// it must be there, with the cloud's own services listening on it, before the
// first group is.
//
// DESIGN.md says how it is built. Everything is named by the cloud's id, so
// that several clouds on one host do not meet, and so that what a crash left
// is known for what it is.
package network

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"frankenetes.dev/embedded/network/links"
)

// Options say what the network of a cloud looks like.
type Options struct {
	// ID is eight hexadecimal digits that no other cloud on this host has.
	ID string
	// Pool is what groups get their cloud addresses from, as Claim returned
	// it; its first address is the gateway's, which is the host.
	Pool netip.Prefix
	// Namespaces is the directory of the network namespaces of virtual networks.
	Namespaces string
	// Services are what groups may reach on the host: nothing else.
	Services []Service
	Log      *slog.Logger
}

// Service is a service of the cloud as groups see it, and where on the gateway
// it really listens. They differ so that neither well-known ports, which
// others on the host may have, need to be free, nor any address of a virtual
// network is taken away from it.
type Service struct {
	// UDP says which of the two protocols it is.
	UDP bool
	// Address and Port are what groups use.
	Address netip.Addr
	Port    uint16
	// Listens is the port on the gateway's address.
	Listens uint16
}

var (
	// MetadataAddress is where a group finds its instance metadata, port 80.
	MetadataAddress = netip.AddrFrom4([4]byte{169, 254, 169, 254})
	// ServiceAddress is where a group finds every other service of the cloud,
	// DNS above all: the address that Azure has for it in every network.
	ServiceAddress = netip.AddrFrom4([4]byte{168, 63, 129, 16})
)

// Gateway returns the first address of a pool.
func Gateway(pool netip.Prefix) netip.Addr { return pool.Masked().Addr().Next() }

// The names of a cloud's interfaces start with its prefix; one letter tells
// those of groups from those of virtual networks, and a number follows.
func prefix(id string) string                { return "fk" + id }
func groupLink(id string, number int) string { return fmt.Sprintf("%sg%03x", prefix(id), number) }

// Network is the network of a running cloud. It is safe for concurrent use.
type Network struct {
	options  Options
	firewall *table

	mu      sync.Mutex
	pool    *pool
	members map[string]*member // by deployment
	routers map[string]*router // of virtual networks, by their mark
	settled bool

	// networkAt holds, for the cloud address of a group in a virtual network,
	// the network. It is asked for every name that is looked up.
	networkAt sync.Map
}

// Up makes the gateway and the firewall, or makes them right. What an earlier
// daemon let through is let through on, until Settle is called.
func Up(o Options) (*Network, error) {
	n := &Network{options: o, members: map[string]*member{}, routers: map[string]*router{}, pool: newPool(o.Pool, 2)}
	if err := gatewayUp(o); err != nil {
		return nil, err
	}
	if err := forward(); err != nil {
		return nil, err
	}
	var err error
	if n.firewall, err = firewallUp(o); err != nil {
		return nil, err
	}
	return n, n.findRouters()
}

// Settle removes what belongs to no group that has joined.
func (n *Network) Settle() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.settled = true
	var errs []error
	for _, r := range n.routers {
		errs = append(errs, n.dropUnused(r))
	}
	used := map[string]bool{prefix(n.options.ID): true}
	for _, m := range n.members {
		used[m.place.Link] = true
	}
	for _, r := range n.routers {
		errs = append(errs, r.removeLinks(n.members))
	}
	errs = append(errs, removeLinks(n.options.ID, used), n.enforce())
	return errors.Join(errs...)
}

// Down removes everything of a cloud. What is absent already is no error. The
// claim goes before the gateway, which tells whose it is.
func Down(o Options) error {
	entries, err := os.ReadDir(o.Namespaces)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	errs := []error{err, unclaim(o.Pool), removeLinks(o.ID, nil)}
	for _, e := range entries {
		errs = append(errs, links.RemoveNamespace(filepath.Join(o.Namespaces, e.Name())))
	}
	return errors.Join(append(errs, removeTable(tableName(o.ID)))...)
}

// forwarding is the switch by which Linux passes packets between interfaces.
const forwarding = "/proc/sys/net/ipv4/ip_forward"

// forward switches forwarding on where it is off. It is not switched off again:
// others may have come to need it.
func forward() error {
	now, err := os.ReadFile(forwarding)
	if err != nil {
		return fmt.Errorf("read %s: %w", forwarding, err)
	}
	if strings.TrimSpace(string(now)) == strconv.Itoa(1) {
		return nil
	}
	if err := os.WriteFile(forwarding, []byte("1"), 0); err != nil {
		return fmt.Errorf("switch on forwarding: %w", err)
	}
	return nil
}
