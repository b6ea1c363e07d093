package groups

import (
	"errors"
	"fmt"
	"net/netip"

	"frankenetes.dev/cloud"
	"frankenetes.dev/embedded/network"
)

// published is the host port that a group has, if its tag asks for one.
type published struct {
	port      *network.Port
	groupPort uint16
	value     string // of the tag
}

// point sends the port's connections to the group's address. A nil receiver
// and an invalid address are both fine.
func (p *published) point(addr netip.Addr) {
	if p == nil {
		return
	}
	if !addr.IsValid() {
		p.port.SetTarget(netip.AddrPort{})
		return
	}
	p.port.SetTarget(netip.AddrPortFrom(addr, p.groupPort))
}

func (p *published) close() {
	if p != nil {
		p.port.Close()
	}
}

// publish makes the group's published port what its tags say. On an error,
// what was published stays.
func (s *Service) publish(g *group, tags map[string]string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	value := tags[cloud.PublishTag]
	if g.published != nil && g.published.value == value {
		return nil
	}
	var next *published
	if value != "" {
		var err error
		if next, err = s.bind(value, g.published); err != nil {
			return err
		}
	}
	if g.published != nil && (next == nil || next.port != g.published.port) {
		g.published.close()
	}
	g.published = next
	if g.deployment != nil {
		var addr netip.Addr
		if g.deployment.status.snapshot().IP != "" {
			addr = g.place.Cloud
		}
		next.point(addr)
	}
	return nil
}

// bind returns the port that a tag asks for, the one there is if it only goes
// to another port of the group.
func (s *Service) bind(value string, now *published) (*published, error) {
	host, inside, err := network.ParsePublish(value)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if now != nil && now.port.Number() == host {
		return &published{port: now.port, groupPort: inside, value: value}, nil
	}
	port, err := network.Publish(s.options.PublishOn, host, s.options.Log)
	if errors.Is(err, network.ErrPortTaken) {
		return nil, hostPortUnavailable(host)
	}
	if err != nil {
		return nil, err
	}
	return &published{port: port, groupPort: inside, value: value}, nil
}
