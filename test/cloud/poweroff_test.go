package cloudtest

import (
	"context"
	"math/rand/v2"
	"time"

	"frankenetes.dev/test/machine"
)

// rest brings every member to be what was acknowledged, one of them stopped
// and all others deployed.
func (f *fleet) rest(luck *rand.Rand) {
	f.T.Helper()
	f.connect()
	stopped := f.steady()[luck.IntN(len(f.steady()))]
	f.each(func(f *fleet, m *member) {
		if !m.now.exists || m.now.stopped {
			f.do(f.ctx(), m, creation())
		}
		f.settle(f.ctx(), m)
		if m == stopped {
			f.do(f.ctx(), m, stop())
			f.settle(f.ctx(), m)
		}
	})
	f.remember()
}

// steady are the members that run until they are ended, and then again.
func (f *fleet) steady() []*member {
	var list []*member
	for _, m := range f.members {
		if !m.ends && !m.crashes && m.policy != never {
			list = append(list, m)
		}
	}
	return list
}

// loseAll notes that all that ran was lost, and will run again.
func (f *fleet) loseAll() {
	for _, m := range f.members {
		if m.runs() {
			m.now.lose()
		}
	}
}

// testContainerdKilled kills containerd while groups come and go. No container
// may notice.
func testContainerdKilled(f *fleet, luck *rand.Rand) {
	f.reseed(luck.Int())
	f.rest(luck)
	ctx, cancel := context.WithTimeout(f.ctx(), time.Second+time.Duration(luck.IntN(2000))*time.Millisecond)
	defer cancel()
	killed := time.AfterFunc(time.Duration(luck.IntN(1000))*time.Millisecond, func() {
		for _, pid := range f.traces().Containerd(f.T) {
			if err := machine.Kill(pid); err != nil {
				f.T.Error(err)
			}
		}
	})
	defer killed.Stop()
	f.each(func(f *fleet, m *member) {
		m.blind = true
		if luck := m.rand.IntN(2); luck == 0 {
			f.load(ctx, m)
		}
	})
	f.each((*fleet).verify)
	f.settled()
}

// testShimsKilled kills the shims of some groups, and with them the sandboxes.
func testShimsKilled(f *fleet, luck *rand.Rand) {
	f.rest(luck)
	for _, m := range f.steady() {
		if !m.runs() || luck.IntN(2) == 0 {
			continue
		}
		if err := machine.Kill(m.processes[0].Parent); err != nil {
			f.T.Fatal(err)
		}
		m.now.lose()
		m.processes = nil
	}
	f.each((*fleet).verify)
	f.sameProcesses()
	f.settled()
}

// testAllKilled kills the daemon, containerd, its shims and all containers.
func testAllKilled(f *fleet, luck *rand.Rand) {
	f.rest(luck)
	f.KillAll()
	f.loseAll()
	f.Run("cloud", "start")
	f.each((*fleet).verify)
	f.settled()
}

// testPowerLost does the same, and takes away what a host has in memory.
func testPowerLost(f *fleet, luck *rand.Rand) {
	f.rest(luck)
	f.LosePower()
	f.loseAll()
	f.Run("cloud", "start")
	f.each((*fleet).verify)
	f.settled()
}

// testEndsUnseen lets a job end while there is no daemon, and then has the host
// lose power. How it ended must be known, and it must not run again.
func testEndsUnseen(f *fleet) {
	late := &member{kind: kind{policy: never, containers: one(`echo ran >> /share/late; sleep 2; exit 6`), more: withShare}, name: "late"}
	f.putGroup("late", late.group(f, state{}))
	processes := f.running(late)
	if len(processes) != 1 {
		f.T.Fatalf("it has %d processes", len(processes))
	}
	f.Kill9()
	for end := time.Now().Add(machine.Patience); f.traces().Runs(processes[0].Container); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			f.T.Fatal("it does not end")
		}
	}
	f.LosePower()
	f.loseAll()
	f.Run("cloud", "start")
	g := f.get("late")
	if got := said(view(g, "main")); got != "Terminated 6, 0 restarts" || stateOf(g) != "Failed" {
		f.T.Errorf("the group is %s, its container %s", stateOf(g), got)
	}
	if runs := len(f.onShare("late")); runs != 1 {
		f.T.Errorf("it ran %d times", runs)
	}
	f.remove("late")
}

// testNothingLeft deletes all groups and looks for what a cloud that has been
// through all this still has.
func testNothingLeft(f *fleet) {
	if err := f.conn.DeleteResourceGroup(f.ctx(), resourceGroup); err != nil {
		f.T.Fatal(err)
	}
	f.settledWith()
	f.Run("cloud", "stop")
	machine.ExpectNothing(f.T, "after the cloud has stopped", f.traces().Cloud(f.T))
	f.Run("cloud", "start")
	f.settledWith()
}
