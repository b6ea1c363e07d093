package cloudtest

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"
)

// operation is something that can be asked for a member.
type operation struct {
	name string
	// may says in which states it is asked for. Of two restarts in quick
	// succession only one can be seen.
	may func(*member) bool
	// change is what it does once it is answered.
	change func(*member, *state)
	send   func(context.Context, *fleet, *member, state) error
}

func put(ctx context.Context, f *fleet, m *member, next state) error {
	_, err := f.groups.BeginCreateOrUpdate(ctx, resourceGroup, m.name, m.group(f, next), nil)
	return err
}

// creation makes the group, or replaces it by another version.
func creation() operation {
	return operation{"put", func(*member) bool { return true }, func(_ *member, s *state) { s.version++; s.deploy() }, put}
}

func stop() operation {
	return operation{"stop", (*member).runs, func(_ *member, s *state) { s.stopped = true }, func(ctx context.Context, f *fleet, m *member, _ state) error {
		_, err := f.groups.Stop(ctx, resourceGroup, m.name, nil)
		return err
	}}
}

func operations() []operation {
	exists := func(m *member) bool { return m.now.exists }
	return []operation{
		creation(),
		{"put the same", exists, func(m *member, s *state) {
			if !m.runs() {
				s.deploy()
			}
		}, put},
		{"delete", exists, func(_ *member, s *state) { s.exists, s.stopped = false, false }, func(ctx context.Context, f *fleet, m *member, _ state) error {
			poller, err := f.groups.BeginDelete(ctx, resourceGroup, m.name, nil)
			if err == nil {
				_, err = poller.PollUntilDone(ctx, &runtime.PollUntilDoneOptions{Frequency: time.Second})
			}
			return err
		}},
		{"tag", exists, func(_ *member, s *state) { s.tag++ }, func(ctx context.Context, f *fleet, m *member, next state) error {
			_, err := f.groups.Update(ctx, resourceGroup, m.name, aci.Resource{Tags: m.tags(f, next)}, nil)
			return err
		}},
		stop(),
		{"start", func(m *member) bool { return m.now.exists && !m.runs() }, func(_ *member, s *state) { s.deploy() }, func(ctx context.Context, f *fleet, m *member, _ state) error {
			_, err := f.groups.BeginStart(ctx, resourceGroup, m.name, nil)
			return err
		}},
		{"restart", func(m *member) bool { return m.now.exists && m.settled }, func(m *member, s *state) {
			if m.runs() {
				s.restarts++
			} else {
				s.deploy()
			}
		}, func(ctx context.Context, f *fleet, m *member, _ state) error {
			_, err := f.groups.BeginRestart(ctx, resourceGroup, m.name, nil)
			return err
		}},
	}
}

// load asks for one operation after the other until the cloud does not answer
// any more or ctx is done. What it asks for is luck, but the same for the same
// seed.
func (f *fleet) load(ctx context.Context, m *member) {
	all := operations()
	for ctx.Err() == nil {
		op := all[m.rand.IntN(len(all))]
		if !op.may(m) {
			continue
		}
		// What was asked for last is waited for: given up, it would be done at
		// some later time, when the group has been found as it was before.
		if !f.do(context.WithoutCancel(ctx), m, op) {
			return
		}
		// What has an end must have come to it, or nobody knows what the next
		// operation finds.
		if (m.ends || m.rand.IntN(3) > 0) && !f.settle(ctx, m) {
			return
		}
		time.Sleep(time.Duration(m.rand.IntN(200)) * time.Millisecond)
	}
}
