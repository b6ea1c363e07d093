package cloudtest

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"frankenetes.dev/test/machine"
)

// TestCrash kills what runs a fleet of container groups, and looks for what
// was lost. What happens is luck; the same seed has the same luck, as far as a
// busy machine allows:
//
//	FRANKENETES_SEED=7 FRANKENETES_ROUNDS=50 go test ./test/cloud/ -run TestCrash
func TestCrash(t *testing.T) {
	seed, rounds := seed(t), number(t, "FRANKENETES_ROUNDS", 4)
	c := newCloud(t)
	f := newFleet(c, seed)
	story := func(name string, fn func(*fleet)) { c.part(name, func(c *localCloud) { fn(f.in(c)) }) }
	for round := range int(rounds) {
		story("the daemon is killed under load", func(f *fleet) { testDaemonKilled(f, round) })
	}
	luck := rand.New(rand.NewPCG(seed, 1<<32))
	story("containerd is killed under load", func(f *fleet) { testContainerdKilled(f, luck) })
	story("shims are killed", func(f *fleet) { testShimsKilled(f, luck) })
	story("everything is killed at once", func(f *fleet) { testAllKilled(f, luck) })
	story("the host loses power", func(f *fleet) { testPowerLost(f, luck) })
	story("a job ends unseen before the host loses power", testEndsUnseen)
	story("a second daemon", testSecondDaemon)
	story("many starts at once", testStartsAtOnce)
	story("starts and stops at once", testStartsAndStopsAtOnce)
	story("starts that are killed", func(f *fleet) { testStartKilled(f, luck) })
	story("stops that are killed", func(f *fleet) { testStopKilled(f, luck) })
	story("nothing is left", testNothingLeft)
}

// seed is that of the test's luck.
func seed(t *testing.T) uint64 {
	t.Helper()
	seed := number(t, "FRANKENETES_SEED", uint64(time.Now().UnixNano()))
	t.Logf("FRANKENETES_SEED=%d", seed)
	return seed
}

// number reads a number from the environment.
func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// testDaemonKilled kills the daemon while it does what it is asked. No
// container may notice, and the next daemon must know all that the first one
// has acknowledged.
func testDaemonKilled(f *fleet, round int) {
	f.reseed(round + 1)
	luck := rand.New(rand.NewPCG(f.seed, uint64(round)))
	ctx, cancel := context.WithTimeout(f.ctx(), machine.Patience)
	defer cancel()
	pid := f.Status().PID
	killed := time.AfterFunc(500*time.Millisecond+time.Duration(luck.IntN(3500))*time.Millisecond, func() {
		if err := machine.Kill(pid); err != nil {
			f.T.Error(err)
		}
	})
	defer killed.Stop()
	f.each(func(f *fleet, m *member) { f.load(ctx, m) })
	f.remember()
	time.Sleep(time.Duration(luck.IntN(1000)) * time.Millisecond) // while nobody looks
	f.Run("cloud", "start")
	f.sameProcesses()
	f.each((*fleet).verify)
	f.sameProcesses()
	f.settled()
}

// settled expects nothing on the machine but what the groups that run need.
func (f *fleet) settled() {
	f.T.Helper()
	f.settledWith(f.names()...)
}

func (f *fleet) settledWith(names ...string) {
	f.T.Helper()
	var wrong []string
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if wrong = f.traces().Expect(f.T, names...); len(wrong) == 0 {
			return
		}
	}
	machine.ExpectNothing(f.T, "with the groups as they should be", wrong)
}
