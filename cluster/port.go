package cluster

import (
	"context"
	"net"
	"strconv"

	"frankenetes.dev/fault"
)

// CheckPort tells whether the API server can be published on a port; 0 leaves
// the choice to us.
func CheckPort(port int) error {
	if port < 0 || port > 65535 {
		return fault.New(fault.Usage, "choose a port from 1 to 65535, or leave --port out", "there is no port %d", port)
	}
	return nil
}

// choosePort returns the port on which the API server will be published, which
// must be free now; 0 where the cloud publishes nothing.
func (o *Operator) choosePort(wanted int) (int, error) {
	if o.cloud.PublishOn == "" {
		return 0, nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(o.cloud.PublishOn, strconv.Itoa(wanted)))
	if err != nil {
		return 0, fault.New(fault.Conflict, "end the program that uses it, or choose another with --port",
			"port %d of %s cannot be used for the API server: %w", wanted, o.cloud.PublishOn, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// movePort publishes the API server on another port from the next start on,
// and writes that into the record. The one that runs is not moved: whoever
// speaks to it would lose it.
func (s *subject) movePort(ctx context.Context, port int) error {
	spec := &s.record.Spec
	if port == 0 || port == spec.Port || s.cloud.PublishOn == "" {
		return nil
	}
	g, err := s.cloud.GetGroup(ctx, s.name(), APIServer)
	if err != nil {
		return err
	}
	if g != nil && !ended(g) && trouble(g) == "" {
		return fault.New(fault.Conflict, "`frankenetes pause "+s.name()+"` first, then resume it with --port",
			"the API server of cluster %s runs on port %d", s.name(), spec.Port)
	}
	if spec.Port, err = s.choosePort(port); err != nil {
		return err
	}
	s.signer.spec = *spec
	return s.record.save(ctx, s.cloud, s.storage)
}
