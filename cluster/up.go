package cluster

import (
	"context"
	"errors"
	"time"

	"frankenetes.dev/cluster/hours"
	"frankenetes.dev/fault"
)

// UpOptions says what cluster to make.
type UpOptions struct {
	Name string
	// Location is where; empty means the cloud's own.
	Location string
	// Kubernetes is the version of the components.
	Kubernetes string
	// Port is where the API server is published on this machine, where the
	// cloud publishes at all; 0 means any free one, or that of a cluster that
	// exists.
	Port int
	// Network is how its groups reach one another; empty means what suits the
	// cloud, or that of a cluster that exists.
	Network NetworkType
	// Nodes is how many there are to be; 0 means one, or as many as a cluster
	// that exists has.
	Nodes int
	// Snapshots is the schedule of etcd's; nil means the usual one, or that of a
	// cluster that exists.
	Snapshots *Snapshots
	// Sleep says when it pauses itself; nil means never, or as a cluster that
	// exists does.
	Sleep *Sleep
	// Hours are when the cloud pauses and resumes it, where the cloud is local;
	// nil means never, or as it does with a cluster that exists.
	Hours *hours.Hours
	// Keep leaves what was made standing when something fails.
	Keep bool
}

// quota of each share, in GiB: etcd's database is bounded at 4, beside its log.
const quota = 10

// cleanUpTime is how long up may take to clean up after itself.
const cleanUpTime = time.Minute

// Up makes a cluster and waits until its nodes are Ready. A cluster that exists
// is completed and started where it is not, and gets or loses nodes. When a new one fails, or ctx ends,
// it is removed again, unless Keep is set.
func (o *Operator) Up(ctx context.Context, opts UpOptions) (Access, error) {
	if err := errors.Join(CheckName(opts.Name), CheckPort(opts.Port), CheckNetwork(opts.Network)); err != nil {
		return Access{}, err
	}
	if opts.Nodes != 0 {
		if err := CheckNodes(opts.Nodes); err != nil {
			return Access{}, err
		}
	}
	// A resource group of that name that is not ours must not be filled, and
	// not be removed when we fail.
	if _, err := o.Exists(ctx, opts.Name); err != nil {
		return Access{}, err
	}
	record, st, err := load(ctx, o.cloud, opts.Name)
	if err == nil {
		if err := record.Spec.keepsNetwork(opts.Network); err != nil {
			return Access{}, err
		}
		if err := o.reschedule(ctx, record, st, opts); err != nil {
			return Access{}, err
		}
		return o.start(ctx, record, st, opts.Port, opts.Nodes)
	}
	if fault.KindOf(err) != fault.NotFound {
		return Access{}, err
	}
	if opts.Port, err = o.choosePort(opts.Port); err != nil {
		return Access{}, err
	}
	return o.made(ctx, opts, func(s *subject) []Step {
		return []Step{
			{Name: "Storage", Run: s.makeStorage},
			{Name: "Certificates", Needs: needs("Storage"), Run: s.makeAuthorities},
		}
	})
}

// made makes a cluster of which there is no record yet, or leaves nothing of
// it. The port is one that choosePort returned; first are the steps after which
// the cluster has its storage and its record, "Storage" and "Certificates".
func (o *Operator) made(ctx context.Context, opts UpOptions, first func(*subject) []Step) (Access, error) {
	access, err := o.create(ctx, opts, first)
	if err != nil && !opts.Keep {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
		defer cancel()
		err = errors.Join(err, o.remove(clean, opts.Name))
	}
	return access, err
}

func (o *Operator) create(ctx context.Context, opts UpOptions, first func(*subject) []Step) (Access, error) {
	location := opts.Location
	if location == "" {
		location = o.cloud.Location
	}
	spec, err := NewSpec(opts.Name, location, o.cloud.Registry, opts.Kubernetes, opts.Port)
	if err != nil {
		return Access{}, err
	}
	spec.Nodes = max(opts.Nodes, 1)
	spec.setSchedules(opts)
	if err := o.chooseNetwork(ctx, opts.Network, &spec); err != nil {
		return Access{}, err
	}
	s, err := o.newSubject(spec)
	if err != nil {
		return Access{}, err
	}
	if err := run(ctx, append(first(s), s.startSteps("Storage", "Certificates")...), o.progress); err != nil {
		return Access{}, err
	}
	return s.access()
}

// reschedule gives a cluster that exists other schedules: what the cluster does
// itself from etcd's next start on, what the cloud does from now on.
func (o *Operator) reschedule(ctx context.Context, r *Record, st storage, opts UpOptions) error {
	before := r.Spec
	if r.Spec.setSchedules(opts); r.Spec == before {
		return nil
	}
	return r.save(ctx, o.cloud, st)
}

// setSchedules takes those that are given.
func (s *Spec) setSchedules(opts UpOptions) {
	if opts.Snapshots != nil {
		s.Snapshots = *opts.Snapshots
	}
	if opts.Sleep != nil {
		s.Sleep = *opts.Sleep
	}
	if opts.Hours != nil {
		s.Hours = *opts.Hours
	}
}

// start starts a cluster of which there is a record; port and nodes are as in
// UpOptions, but that 0 leaves them as they are.
func (o *Operator) start(ctx context.Context, r *Record, st storage, port, nodes int) (Access, error) {
	s, err := o.subject(r, st)
	if err != nil {
		return Access{}, err
	}
	if err := s.awaitAsleep(ctx); err != nil {
		return Access{}, err
	}
	if err := s.movePort(ctx, port); err != nil {
		return Access{}, err
	}
	if err := s.resize(ctx, nodes); err != nil {
		return Access{}, err
	}
	if err := run(ctx, s.startSteps("", ""), o.progress); err != nil {
		return Access{}, err
	}
	return s.access()
}

func (s *subject) makeStorage(ctx context.Context) (string, error) {
	spec := s.record.Spec
	tags := map[string]string{clusterTag: spec.Name}
	if err := s.cloud.PutResourceGroup(ctx, spec.Name, spec.Location, tags); err != nil {
		return "", err
	}
	// An up that was interrupted may have made the account.
	st, err := openStorage(ctx, s.cloud, spec.Name)
	if err != nil {
		return "", err
	}
	if st.account == "" {
		st.account = spec.account()
		if err := s.cloud.PutAccount(ctx, spec.Name, st.account, spec.Location); err != nil {
			return "", err
		}
	}
	var share [3]func() error
	for i, name := range []string{recordShare, etcdShare, apiserverShare} {
		share[i] = func() error { return s.cloud.PutShare(ctx, spec.Name, st.account, name, quota) }
	}
	err = both(append(share[:], func() error {
		var err error
		st.key, st.files, err = s.cloud.AccountKey(ctx, spec.Name, st.account)
		return err
	})...)
	s.storage = st
	return "account " + st.account + ", 3 shares", err
}

func (s *subject) makeAuthorities(ctx context.Context) (string, error) {
	var err error
	if s.record.Authorities, err = newAuthorities(s.name()); err != nil {
		return "", err
	}
	return s.keepAuthorities(ctx)
}

// keepAuthorities writes the record of a cluster whose authorities are there.
func (s *subject) keepAuthorities(ctx context.Context) (string, error) {
	var err error
	if s.signer, err = newSigner(s.record, s.cloud.Config); err != nil {
		return "", err
	}
	return "4 authorities, kept on share " + s.storage.account + "/" + recordShare,
		s.record.save(ctx, s.cloud, s.storage)
}
