package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"frankenetes.dev/cloud"
	"frankenetes.dev/fault"
)

// Operator does the verbs to the clusters of one cloud.
type Operator struct {
	cloud    *cloud.Connection
	progress Progress
}

// NewOperator returns an operator that reports its steps to progress.
func NewOperator(c *cloud.Connection, progress Progress) *Operator {
	return &Operator{cloud: c, progress: progress}
}

// subject is one cluster in the course of a verb.
type subject struct {
	*Operator
	record  *Record
	storage storage
	signer  *signer
	// subnet is the ARM id of the one that the groups are in, if they are in
	// a virtual network.
	subnet string
	// stored is closed when there is a container group of etcd, ready when the
	// API server is ready, in this verb.
	stored, ready chan struct{}
}

func (o *Operator) subject(r *Record, st storage) (*subject, error) {
	s, err := o.newSubject(r.Spec)
	if err != nil {
		return nil, err
	}
	s.record, s.storage = r, st
	s.signer, err = newSigner(r, o.cloud.Config)
	return s, err
}

// newSubject is a cluster of which there is no more than a spec yet.
func (o *Operator) newSubject(spec Spec) (*subject, error) {
	s := &subject{Operator: o, record: &Record{Spec: spec}, stored: make(chan struct{}), ready: make(chan struct{})}
	if spec.network() == VNet {
		n, err := spec.cloudNetwork()
		if err != nil {
			return nil, err
		}
		s.subnet = o.cloud.SubnetID(n)
	}
	return s, nil
}

// open loads a cluster that exists.
func (o *Operator) open(ctx context.Context, name string) (*subject, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	record, st, err := load(ctx, o.cloud, name)
	if err != nil {
		return nil, err
	}
	return o.subject(record, st)
}

func (s *subject) name() string { return s.record.Spec.Name }

// put asks the cloud for a component, and returns the moment since when it has
// been starting. One that runs, or is about to, is left alone (its certificates
// would be new ones, and it would start again for them): then that is the zero
// time, and whatever it has said is good.
func (s *subject) put(ctx context.Context, c component, err error) (since time.Time, _ error) {
	if err != nil {
		return since, err
	}
	g, err := s.cloud.GetGroup(ctx, s.name(), c.name)
	if err != nil {
		return since, err
	}
	if g == nil || !stands(g) {
		since = time.Now()
		if err := s.create(ctx, c); err != nil {
			return since, err
		}
	}
	if s.subnet != "" && len(c.ports) > 0 {
		err = s.putName(ctx, c.name)
	}
	return since, err
}

// stands reports whether a group runs, or will by itself.
func stands(g *cloud.Group) bool { return !ended(g) && trouble(g) == "" }

func (s *subject) create(ctx context.Context, c component) error {
	err := s.cloud.PutGroup(ctx, s.name(), c.name, c.group(s.record.Spec, s.storage, s.subnet))
	if cloud.Code(err) == "HostPortUnavailable" {
		return fault.New(fault.Conflict, "end the program that uses it, or choose another with --port", "%w", err)
	}
	return err
}

// pollEvery is the pause between two looks at something; where it is the cloud
// that is asked, the pause grows to pollAtMost, since a cloud far away limits
// how often it may be asked.
const (
	pollEvery  = 50 * time.Millisecond
	pollAtMost = time.Second
)

// poll calls look, with growing pauses, until it says done or fails.
func poll(ctx context.Context, look func() (done bool, err error)) error {
	return pollUpTo(ctx, pollAtMost, look)
}

// pollUpTo is poll with pauses that grow to atMost.
func pollUpTo(ctx context.Context, atMost time.Duration, look func() (done bool, err error)) error {
	for pause := pollEvery; ; pause = min(pause*5/4, atMost) {
		done, err := look()
		if done || err != nil {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// awaitRunning waits until a component's container runs, or says why it will not.
func (s *subject) awaitRunning(ctx context.Context, name string) error {
	return poll(ctx, func() (bool, error) {
		g, err := s.look(ctx, name)
		if err != nil {
			return false, err
		}
		view := g.Properties.InstanceView
		return view != nil && deref(view.State) == "Running", nil
	})
}

// guard runs wait and, beside it, keeps looking at a component; it ends with
// wait, or with an error as soon as the component is broken.
func (s *subject) guard(ctx context.Context, name string, wait func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	broken := make(chan error, 1)
	go func() {
		broken <- poll(ctx, func() (bool, error) {
			_, err := s.look(ctx, name)
			return false, err
		})
		cancel()
	}()
	err := wait(ctx)
	cancel()
	if b := <-broken; b != nil && !errors.Is(b, context.Canceled) {
		return b
	}
	return err
}

// look gets a component; the error says why it is broken, if it is.
func (s *subject) look(ctx context.Context, name string) (*cloud.Group, error) {
	g, err := s.cloud.GetGroup(ctx, s.name(), name)
	if err != nil {
		return nil, err
	}
	if g == nil {
		return nil, fault.New(fault.NotFound, "", "container group %s/%s is gone", s.name(), name)
	}
	return g, broken(name, g, func() string {
		text, err := s.cloud.Logs(ctx, s.name(), name, name, 20)
		if err != nil {
			return fmt.Sprintf("(no log: %v)", err)
		}
		return text
	})
}
