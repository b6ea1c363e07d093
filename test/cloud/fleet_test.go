package cloudtest

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"

	"frankenetes.dev/cloud"
	"frankenetes.dev/test/machine"
)

// The storage account, the share and the DNS name label of a fleet.
const (
	fleetAccount = "fleetaccount"
	fleetShare   = "fleet"
	fleetLabel   = "fleet"
)

// fleet is a handful of container groups of all kinds that a crash could harm,
// and what the cloud has said of each.
type fleet struct {
	*localCloud
	seed    uint64
	members []*member
	// groups is a client that tries once: what it is told was done once.
	groups *aci.ContainerGroupsClient
	// key is that of the storage account.
	key string
	// port is the host's port at which the web server is published.
	port int
}

// member is a group of a fleet.
type member struct {
	kind
	name string
	rand *rand.Rand
	// now is what was acknowledged, asked what was asked for and not answered.
	now   state
	asked *state
	// cuts counts how often the daemon was killed when a run may have been
	// starting: the runtime ends such a run, and it is made anew.
	cuts int
	// blind says that containerd was killed while its runs came and went: it
	// forgets a run before it notes how that has ended, and may know no more
	// than that it has.
	blind bool
	// settled says that the group has come to be what was acknowledged;
	// address and processes are those that it then had.
	settled   bool
	address   string
	processes []machine.Process
}

// state is what is known of a member.
type state struct {
	exists, stopped bool
	// version and tag are what the last PUT and the last PATCH said.
	version, tag int
	// deployments counts how often its containers were deployed, restarts how
	// often they were started anew since, for no reason of their own, and
	// fresh how many of those had happened when its directories were made.
	deployments, restarts, fresh int
	// lost says that they were lost once, unsure that nobody knows how often.
	lost, unsure bool
	// cuts counts like the member's, since its directories were made.
	cuts int
}

func (s *state) deploy() {
	*s = state{exists: true, version: s.version, tag: s.tag, deployments: s.deployments + 1}
}

// lose notes that the containers were lost with their directories, and that
// the cloud runs them anew.
func (s *state) lose() {
	s.restarts++
	s.fresh, s.cuts, s.lost = s.restarts, 0, true
}

// newFleet makes what the groups need and the groups.
func newFleet(c *localCloud, seed uint64) *fleet {
	c.T.Helper()
	f := &fleet{localCloud: c, seed: seed}
	ctx := c.ctx()
	err := errors.Join(
		c.conn.PutAccount(ctx, resourceGroup, fleetAccount, c.conn.Location),
		c.conn.PutShare(ctx, resourceGroup, fleetAccount, fleetShare, 1),
		c.conn.PutNetwork(ctx, f.fleetNetwork()))
	if err == nil {
		f.key, _, err = c.conn.AccountKey(ctx, resourceGroup, fleetAccount)
	}
	if err != nil {
		c.T.Fatal(err)
	}
	f.port = freePort(c)
	f.connect()
	for _, k := range kinds() {
		f.members = append(f.members, &member{kind: k, name: k.what})
	}
	f.reseed(0)
	f.each(func(f *fleet, m *member) {
		f.do(ctx, m, creation())
		f.settle(ctx, m)
	})
	f.putClient()
	return f
}

// putClient makes the group that asks the web server by its name. It is not
// touched.
func (f *fleet) putClient() {
	f.T.Helper()
	ask := fmt.Sprintf(`printf '#!/bin/sh\nwget -q -O - http://%s:8080/version' > /ask; chmod 755 /ask; exec sleep 1000000`,
		f.conn.FQDN(fleetLabel, f.conn.Location))
	f.put("client", container("client", "sh", "-c", ask))
}

// in returns the fleet in the hands of another test.
func (f *fleet) in(c *localCloud) *fleet {
	sub := *f
	sub.localCloud = c
	return &sub
}

func freePort(c *localCloud) int {
	c.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.T.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// connect makes the client that tries once.
func (f *fleet) connect() {
	f.T.Helper()
	options := *f.conn.ClientOptions()
	options.Retry.MaxRetries = -1
	var err error
	f.groups, err = aci.NewContainerGroupsClient(f.conn.SubscriptionID, f.conn.Credentials(), &options)
	if err != nil {
		f.T.Fatal(err)
	}
}

// reseed gives every member its own luck for a round, the same for the same seed.
func (f *fleet) reseed(round int) {
	for _, m := range f.members {
		h := fnv.New64()
		h.Write([]byte(m.name + strconv.Itoa(round)))
		m.rand = rand.New(rand.NewPCG(f.seed, h.Sum64()))
	}
}

// each calls fn for all members at once. When one of them fails, so does the test.
func (f *fleet) each(fn func(*fleet, *member)) {
	f.T.Helper()
	var all sync.WaitGroup
	for _, m := range f.members {
		all.Go(func() { fn(f, m) })
	}
	all.Wait()
	if f.T.Failed() {
		f.T.FailNow()
	}
}

// failf notes what is wrong with a member.
func (f *fleet) failf(m *member, format string, args ...any) {
	f.T.Errorf("%s: %s", m.name, fmt.Sprintf(format, args...))
}

// do asks for an operation. It reports whether there was a clear answer; what
// was done is what the member is from then on.
func (f *fleet) do(ctx context.Context, m *member, op operation) bool {
	next := m.now
	op.change(m, &next)
	m.asked = &next
	err := op.send(ctx, f, m, next)
	var refusal *azcore.ResponseError
	switch {
	case err == nil:
		m.now, m.asked, m.settled = next, nil, false
	case errors.As(err, &refusal) && refusal.StatusCode < http.StatusInternalServerError:
		m.asked = nil
		if refusal.ErrorCode != "ContainerGroupTransitioning" {
			f.failf(m, "%s was refused: %v", op.name, err)
		}
	default:
		return false
	}
	return true
}

// look reads a group once; nil when it does not exist.
func (f *fleet) look(ctx context.Context, m *member) (*cloud.Group, error) {
	got, err := f.groups.Get(ctx, resourceGroup, m.name, nil)
	if cloud.IsNotFound(err) {
		return nil, nil
	}
	return &got.ContainerGroup, err
}

// settle waits until a group is what was acknowledged. It reports false when
// the cloud does not answer.
func (f *fleet) settle(ctx context.Context, m *member) bool {
	for end := time.Now().Add(machine.Patience); ; time.Sleep(50 * time.Millisecond) {
		g, err := f.look(ctx, m)
		if err != nil {
			return false
		}
		wrong := m.differs(g, m.now)
		if wrong == "" {
			m.settled = true
			if g != nil {
				m.address = addressOf(g)
			}
			return true
		}
		if time.Now().After(end) {
			f.failf(m, "is not what was acknowledged: %s", wrong)
			return true
		}
	}
}

// runs reports whether containers of the member should run.
func (m *member) runs() bool { return m.now.exists && !m.now.stopped && !m.ends }

// marks is the variable by which the member's processes are known.
func (m *member) marks() string { return "FLEET=" + m.name }

// running returns the first processes of the member's containers.
func (f *fleet) running(m *member) []machine.Process {
	var list []machine.Process
	for _, p := range f.traces().Containers(f.T) {
		if p.Has(m.marks()) {
			list = append(list, p)
		}
	}
	return list
}

// traces are those of the cloud, whether or not it runs.
func (f *fleet) traces() machine.Traces { return machine.TracesOf(f.Home) }

// names returns the groups that should run, the client among them.
func (f *fleet) names() []string {
	names := []string{"client"}
	for _, m := range f.members {
		if m.runs() {
			names = append(names, m.name)
		}
	}
	return names
}

// group is what a PUT says for a state of the member.
func (m *member) group(f *fleet, s state) cloud.Group {
	g := f.localCloud.group(m.containers()...)
	g.Properties.RestartPolicy = to.Ptr(m.policy)
	g.Tags = m.tags(f, s)
	if m.more != nil {
		m.more(f, m, &g)
	}
	for _, c := range g.Properties.Containers {
		c.Properties.EnvironmentVariables = []*aci.EnvironmentVariable{
			{Name: to.Ptr("FLEET"), Value: &m.name}, {Name: to.Ptr("VERSION"), Value: to.Ptr(strconv.Itoa(s.version))}}
	}
	return g
}

// tags say which state they are of; the web server's publish it, too.
func (m *member) tags(f *fleet, s state) map[string]*string {
	tags := map[string]*string{"tag": to.Ptr(strconv.Itoa(s.tag))}
	if m.published {
		tags[cloud.PublishTag] = to.Ptr(fmt.Sprintf("%d:8080", f.port))
	}
	return tags
}
