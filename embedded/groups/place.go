package groups

import (
	"slices"
	"strings"

	"frankenetes.dev/embedded/network"
)

// Network is where groups get their addresses.
type Network interface {
	// Join gives a deployment its place.
	Join(network.Request) (network.Place, error)
	// Expose says which ports of a deployment are open, or, in a virtual
	// network, which are closed.
	Expose(deployment string, open, closed []network.Opening) error
	// Leave takes back what a deployment has.
	Leave(deployment string) error
}

// join gives the group's deployment a place in its network, the one that the
// group had where that is free, and opens its ports.
func (s *Service) join(g *group) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := &g.record
	request := network.Request{Deployment: r.UID, Last: r.Addresses}
	if id := r.Group.subnetID(); id != "" {
		subnet, err := s.options.Subnets.Subnet(id)
		if err != nil {
			return err
		}
		request.Subnet = &subnet
	}
	place, err := s.options.Network.Join(request)
	if err != nil {
		return err
	}
	g.place, r.Addresses = place, place.Addresses
	return s.expose(r.UID, &r.Group, r.Group.unasked())
}

// leave takes back the place of a deployment that has ended.
func (s *Service) leave(key, uid string) {
	if err := s.options.Network.Leave(uid); err != nil {
		s.options.Log.Error("group does not leave the network", "group", key, "error", err)
	}
}

// tellReadiness opens the ports of a deployment's containers that are ready,
// and of those that nobody asks, and closes the others.
func (s *Service) tellReadiness(uid string, ready map[string]bool) {
	for _, g := range s.list("") {
		if d := g.live(); d != nil && d.uid == uid {
			if err := s.expose(uid, d.group, ready); err != nil {
				s.options.Log.Error("ports are not opened or closed", "group", g.key, "error", err)
			}
		}
	}
}

func (s *Service) expose(uid string, g *Group, ready map[string]bool) error {
	return s.options.Network.Expose(uid, openings(g, ready), closings(g, ready))
}

// unasked is the readiness of containers that were not asked yet.
func (g *Group) unasked() map[string]bool {
	ready := map[string]bool{}
	for _, c := range g.Properties.Containers {
		if c.Properties.ReadinessProbe != nil {
			ready[c.Name] = false
		}
	}
	return ready
}

// openings returns the ports of the group's public address that are open. A
// port is closed while a container that has it is not ready; containers that
// are not asked always are.
func openings(g *Group, ready map[string]bool) []network.Opening {
	a := g.Properties.IPAddress
	if a == nil || a.Type != public {
		return nil
	}
	closed := closings(g, ready)
	var open []network.Opening
	for _, p := range a.Ports {
		if o := p.opening(); !slices.Contains(closed, o) {
			open = append(open, o)
		}
	}
	return open
}

// closings returns the ports of containers that are not ready.
func closings(g *Group, ready map[string]bool) []network.Opening {
	var closed []network.Opening
	for _, c := range g.Properties.Containers {
		for _, p := range c.Properties.Ports {
			if isReady, asked := ready[c.Name]; asked && !isReady {
				closed = append(closed, p.opening())
			}
		}
	}
	return closed
}

func (p Port) opening() network.Opening {
	return network.Opening{UDP: strings.EqualFold(p.Protocol, "UDP"), Port: uint16(p.Port)}
}
