package embedded

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/network"
	"frankenetes.dev/embedded/store"
	"frankenetes.dev/pki"
)

const (
	settingsKind = "settings"
	settingsKey  = "daemon"
)

// settings are decided at the first start and kept: clusters know them.
type settings struct {
	Subscription string
	Tenant       string
	// Authority signs the certificates of the daemon's own services.
	Authority pki.Pair
	// Pool is what groups get their addresses from.
	Pool  netip.Prefix
	Ports ports
}

// ports are where the daemon's services listen, on loopback and on the gateway.
type ports struct {
	Management, Files, Registry, Metadata, DNS uint16
}

// Ports are chosen from below the range from which Linux takes those of
// outgoing connections.
const (
	firstPort = 20000
	lastPort  = 29999
)

// loadSettings reads the settings, making them at the first start.
func loadSettings(db *store.Store) (settings, error) {
	var s settings
	err := db.Get(settingsKind, settingsKey, &s)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return s, err
	}
	if err == nil {
		return s, nil
	}
	if s, err = newSettings(); err != nil {
		return s, err
	}
	return s, db.Put(settingsKind, settingsKey, s)
}

// claimAddresses takes the addresses of the cloud, the same as the last time
// if they are free.
func (d *daemon) claimAddresses() error {
	pool, err := network.Claim(d.options.id(), d.settings.Pool)
	if err != nil {
		return err
	}
	d.pool = pool
	if pool == d.settings.Pool {
		return nil
	}
	d.settings.Pool = pool
	return d.store.Put(settingsKind, settingsKey, d.settings)
}

func newSettings() (settings, error) {
	s := settings{Subscription: uuid.NewString(), Tenant: uuid.NewString()}
	authority, err := pki.NewAuthority("frankenetes embedded cloud")
	if err != nil {
		return s, err
	}
	s.Authority = authority.Pair()
	taken := map[uint16]bool{}
	for _, p := range []*uint16{&s.Ports.Management, &s.Ports.Files, &s.Ports.Registry, &s.Ports.Metadata, &s.Ports.DNS} {
		if *p, err = freePort(taken); err != nil {
			return s, err
		}
		taken[*p] = true
	}
	return s, nil
}

// freePort finds a port on which nobody listens, on any address.
func freePort(taken map[uint16]bool) (uint16, error) {
	for range 1000 {
		p := uint16(firstPort + rand.IntN(lastPort-firstPort+1))
		if taken[p] {
			continue
		}
		tcp, err := net.Listen("tcp4", ":"+strconv.Itoa(int(p)))
		if err != nil {
			continue
		}
		udp, err := net.ListenPacket("udp4", ":"+strconv.Itoa(int(p)))
		tcp.Close()
		if err != nil {
			continue
		}
		udp.Close()
		return p, nil
	}
	return 0, fmt.Errorf("find a free port between %d and %d: none found", firstPort, lastPort)
}
