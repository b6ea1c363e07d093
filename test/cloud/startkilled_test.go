package cloudtest

import (
	"math/rand/v2"
	"testing"
	"time"

	"frankenetes.dev/test/machine"
)

// TestFirstStartKilled kills the very first starts of a cloud, at any moment.
// What they leave, a stop takes away, and a start goes on from.
func TestFirstStartKilled(t *testing.T) {
	luck := rand.New(rand.NewPCG(seed(t), 0))
	m := machine.New(t)
	for range 2 {
		killStarts(m, luck, 4, 2*time.Second)
		m.Run("cloud", "stop")
		machine.ExpectNothing(t, "after starts that were killed and a stop", machine.TracesOf(m.Home).Cloud(t))
	}
	killStarts(m, luck, 3, time.Second)
	m.Run("cloud", "start")
	tr := m.Traces()
	if wrong := tr.Expect(t); len(wrong) > 0 {
		machine.ExpectNothing(t, "after starts that were killed and one that was not", wrong)
	}
}

// killStarts starts the cloud a few times and kills the daemon, each time after
// a while, sooner more often than later since more is done then.
func killStarts(m *machine.Machine, luck *rand.Rand, times int, most time.Duration) {
	m.T.Helper()
	for range times {
		part := luck.Float64()
		m.Interrupted(time.Duration(part*part*part*float64(most)), "cloud", "start")
	}
}

// testStartKilled kills starts of a cloud in which groups run, or ran.
func testStartKilled(f *fleet, luck *rand.Rand) {
	f.rest(luck)
	f.Kill9()
	killStarts(f.Machine, luck, 5, 400*time.Millisecond)
	f.Run("cloud", "start")
	f.each((*fleet).verify)
	f.sameProcesses()
	f.settled()

	f.Run("cloud", "stop")
	f.loseAll()
	killStarts(f.Machine, luck, 5, time.Second)
	f.Run("cloud", "start")
	f.each((*fleet).verify)
	f.settled()
}

// testStopKilled kills the daemon while it takes its groups down.
func testStopKilled(f *fleet, luck *rand.Rand) {
	f.rest(luck)
	for range 2 {
		f.Interrupted(time.Duration(luck.IntN(1000))*time.Millisecond, "cloud", "stop")
	}
	f.Run("cloud", "stop")
	machine.ExpectNothing(f.T, "after stops that were killed and one that was not", f.traces().Cloud(f.T))
	f.loseAll()
	f.Run("cloud", "start")
	f.each((*fleet).verify)
	f.settled()
}
