package network

import (
	"errors"
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
	// Subnet is where it is to be; nil means the public network.
	Subnet *Subnet
}

// Place is what a group has got.
type Place struct {
	Addresses
	// Link is the interface by which the host reaches it.
	Link string
	// Peer is the interface at the other end of its veth: Link, or one in the
	// router of its virtual network.
	Peer string
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
	// open and closed are ports of the group: in the public network, others
	// reach the open ones, in a virtual network all but the closed ones.
	open, closed []Opening
	// subnet and router are nil in the public network.
	subnet *Subnet
	router *router
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
	var m *member
	if r.Subnet == nil {
		m = n.joinPublic(cloud)
	} else if m, err = n.joinSubnet(r, cloud); err != nil {
		n.pool.giveBack(cloud)
		return Place{}, err
	}
	n.members[r.Deployment] = m
	if err := n.enforce(); err != nil {
		return Place{}, errors.Join(err, n.leave(r.Deployment, m))
	}
	return m.place, nil
}

// joinPublic gives a group a place among those of the public.
func (n *Network) joinPublic(cloud netip.Addr) *member {
	link := groupLink(n.options.ID, numberOf(n.options.Pool, cloud))
	plan := attach.Plan{Address: cloud, Peer: link, Source: Gateway(n.options.Pool)}
	return &member{place: Place{Addresses: Addresses{Cloud: cloud}, Link: link, Peer: link, Annotations: plan.Annotations()}}
}

// Expose says which ports of a group others reach: in the public network the
// open ones, in a virtual network all but the closed ones. It does nothing for
// a group that has left.
func (n *Network) Expose(deployment string, open, closed []Opening) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.members[deployment]
	if m == nil {
		return nil
	}
	m.open, m.closed = open, closed
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
	return n.leave(deployment, m)
}

func (n *Network) leave(deployment string, m *member) error {
	delete(n.members, deployment)
	n.pool.giveBack(m.place.Cloud)
	var err error
	if m.router != nil {
		err = n.leaveSubnet(m)
	}
	return errors.Join(err, n.enforce())
}
