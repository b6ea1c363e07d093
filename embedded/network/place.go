package network

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"frankenetes.dev/embedded/network/attach"
)

// Request is what a group needs of the network.
type Request struct {
	// Deployment names who asks; it is the one to leave.
	Deployment string
	// Last is what it had before; it gets the same where that is possible.
	Last Addresses
}

// Addresses are those of a group, as they are kept with its record.
type Addresses struct {
	// Cloud is the address that no other group of the cloud has: the group's
	// own or, in a virtual network, what the world sees.
	Cloud netip.Addr `json:"cloud,omitzero"`
}

// Place is what a group has got.
type Place struct {
	Addresses
	// Link is the name of the interface at the host's end.
	Link string
	// Annotations are for the sandbox: by them the CNI plugin knows what to do.
	Annotations map[string]string
}

// Opening is a port at which a group can be reached.
type Opening struct {
	UDP  bool
	Port uint16
}

func (o Opening) protocol() byte {
	if o.UDP {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}

// member is a group that has joined.
type member struct {
	place Place
	open  []Opening
}

// Join gives a group its place. Until its ports are exposed nobody reaches it.
// A group that has joined already keeps what it has.
func (n *Network) Join(r Request) (Place, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if m := n.members[r.Deployment]; m != nil {
		return m.place, nil
	}
	cloud, err := n.pool.take(r.Last.Cloud)
	if err != nil {
		return Place{}, fmt.Errorf("join the network %s: %w", n.options.Pool, err)
	}
	link := groupLink(n.options.ID, numberOf(n.options.Pool, cloud))
	plan := attach.Plan{Address: cloud, Peer: link, Source: Gateway(n.options.Pool)}
	m := &member{place: Place{Addresses: Addresses{Cloud: cloud}, Link: link, Annotations: plan.Annotations()}}
	n.members[r.Deployment] = m
	if err := n.enforce(); err != nil {
		delete(n.members, r.Deployment)
		n.pool.giveBack(cloud)
		return Place{}, err
	}
	return m.place, nil
}

// Expose opens the ports of a group, and closes all others. It does nothing
// for one that has left.
func (n *Network) Expose(deployment string, ports []Opening) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.members[deployment]
	if m == nil {
		return nil
	}
	m.open = ports
	return n.enforce()
}

// Leave takes back what a group has. Nothing of it may run any more.
func (n *Network) Leave(deployment string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.members[deployment]
	if m == nil {
		return nil
	}
	delete(n.members, deployment)
	n.pool.giveBack(m.place.Cloud)
	return n.enforce()
}

// enforce makes the firewall what the members need. The caller holds the lock.
func (n *Network) enforce() error {
	want := map[string]elements{sourcesSet: {}, openSet: {}}
	for _, m := range n.members {
		want[sourcesSet][sourceKey(m.place.Link, m.place.Cloud)] = ""
		for _, p := range m.open {
			want[openSet][openKey(m.place.Cloud, p)] = ""
		}
	}
	return n.firewall.apply(want, !n.settled)
}
