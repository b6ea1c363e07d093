package durability

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"frankenetes.dev/test/azurefiles"
)

// seeded is what a run is made of, to have the same again: the seed, and how
// many rounds.
func seeded(t *testing.T, rounds int) (seed uint64, _ int) {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("FRANKENETES_SEED"), 10, 64)
	if err != nil {
		seed = rand.Uint64()
	}
	if n, err := strconv.Atoi(os.Getenv("FRANKENETES_ROUNDS")); err == nil && n > 0 {
		rounds = n
	}
	t.Logf("FRANKENETES_SEED=%d FRANKENETES_ROUNDS=%d", seed, rounds)
	return seed, rounds
}

// disaster does something to a group, and returns the one that is to serve then.
type disaster func(w *world, g *group, random *rand.Rand) *group

// disasters are all that can happen, in the order in which the first rounds have
// them.
func disasters() []struct {
	name string
	do   disaster
} {
	return []struct {
		name string
		do   disaster
	}{
		{"etcd is killed", func(_ *world, g *group, _ *rand.Rand) *group { g.killEtcd(); return g }},
		{"the launcher is killed", func(_ *world, g *group, _ *rand.Rand) *group { g.killLauncher(); return g }},
		{"the machine loses its power", func(w *world, g *group, _ *rand.Rand) *group { g.powerCut(); return w.start() }},
		{"it is frozen, another takes over, it goes on", takeOver},
		{"two start at once", twoStarters},
		{"the share fails", failingShare},
		{"the share is full", fullShare},
		{"it is paused and resumed", func(w *world, g *group, _ *rand.Rand) *group { g.end(); return w.start() }},
		{"it is killed while it starts", killedStart},
	}
}

// takeOver freezes a machine, so that everybody thinks that it is gone, and has
// it go on after its successor has begun to serve.
func takeOver(w *world, g *group, random *rand.Rand) *group {
	g.freeze()
	time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
	next := w.start()
	if random.IntN(2) == 0 {
		w.await(next)
	}
	g.thaw()
	w.await(next)
	// It finds its store gone and stays down.
	select {
	case <-g.over:
	case <-time.After(patience):
		w.t.Errorf("group %d goes on without a store:\n%s", g.start, g.says())
	}
	return next
}

func twoStarters(w *world, g *group, _ *rand.Rand) *group {
	g.powerCut()
	first := w.start()
	second := w.start()
	w.await(second)
	select {
	case <-first.over:
	case <-time.After(patience):
		w.t.Errorf("two groups run, %d and %d", first.start, second.start)
	}
	return second
}

// failingShare has flushes fail for a while.
func failingShare(w *world, g *group, random *rand.Rand) *group {
	var failing atomic.Bool
	failing.Store(true)
	w.share.SetFault(func(op azurefiles.Op) error {
		if failing.Load() && op.Name == "fsync" {
			return unix.EIO
		}
		return nil
	})
	time.Sleep(time.Duration(200+random.IntN(800)) * time.Millisecond)
	failing.Store(false)
	w.share.SetFault(nil)
	return g
}

func fullShare(w *world, g *group, random *rand.Rand) *group {
	w.share.SetQuota(1)
	time.Sleep(time.Duration(200+random.IntN(800)) * time.Millisecond)
	w.share.SetQuota(0)
	return g
}

// killedStart cuts the power of machines that are on their way up.
func killedStart(w *world, g *group, random *rand.Rand) *group {
	g.powerCut()
	for range 3 {
		next := w.start()
		time.Sleep(time.Duration(random.IntN(600)) * time.Millisecond)
		next.powerCut()
	}
	return w.start()
}

// TestNothingAcknowledgedIsLost has all disasters happen while writers write.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	seed, rounds := seeded(t, 20)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t, kind{})
	g := w.start()
	w.await(g)
	writers := startWriters(w, seed)
	defer writers.end()
	all := disasters()
	for round := range rounds {
		one := all[round%len(all)]
		if round >= len(all) {
			one = all[random.IntN(len(all))]
		}
		time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
		g = one.do(w, g, random)
		w.await(g)
		t.Logf("round %d: %s; %d writes acknowledged", round+1, one.name, acknowledged(writers.history.copy()))
		if t.Failed() {
			break
		}
	}
	history := writers.end()
	for _, wrong := range judge(history, w.read(g)) {
		t.Error(wrong)
	}
	if n := acknowledged(history); n < 10*rounds {
		t.Errorf("only %d writes were acknowledged: nothing was tried", n)
	} else {
		t.Logf("%d acknowledged writes, %d operations, %d starts of etcd", n, len(history), w.starts)
	}
}

// TestControls breaks one rule each, and must lose something that was
// acknowledged: else the test above could not either.
func TestControls(t *testing.T) {
	for name, c := range map[string]struct {
		kind kind
		do   disaster
	}{
		"writes are not flushed":  {kind{flags: []string{"--unsafe-no-fsync"}}, func(w *world, g *group, _ *rand.Rand) *group { g.powerCut(); return w.start() }},
		"nobody is fenced":        {kind{unfenced: true}, frozenBeside},
		"only snapshots are kept": {kind{unfenced: true, snapshots: true}, func(w *world, g *group, _ *rand.Rand) *group { g.powerCut(); return w.start() }},
	} {
		t.Run(name, func(t *testing.T) {
			seed, _ := seeded(t, 0)
			if !loses(t, c.kind, c.do, seed) {
				t.Error("nothing was lost that was acknowledged")
			}
		})
	}
}

// loses reports whether something is lost, or nothing can be read any more, in
// some rounds.
func loses(t *testing.T, k kind, do disaster, seed uint64) bool {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t, k)
	g := w.start()
	w.await(g)
	for range 5 {
		writers := startWriters(w, seed)
		stop := w.keepSnapshots(g)
		time.Sleep(time.Duration(1500+random.IntN(1000)) * time.Millisecond)
		stop()
		g = do(w, g, random)
		history := writers.end()
		if !w.comes(g) {
			t.Logf("the store cannot be read any more:\n%s", g.says())
			return true
		}
		if wrong := judgeKeys(history, w.read(g)); len(wrong) > 0 {
			t.Logf("found: %s", strings.Join(wrong[:min(3, len(wrong))], "; "))
			return true
		}
	}
	return false
}

// frozenBeside freezes a machine, has another open the same store, and thaws the
// first: both run.
func frozenBeside(w *world, g *group, _ *rand.Rand) *group {
	g.freeze()
	next := w.start()
	if !w.comes(next) {
		return next
	}
	g.thaw()
	time.Sleep(2 * time.Second)
	g.powerCut()
	next.powerCut()
	return w.start()
}

// comes reports whether a group comes to serve in some time.
func (w *world) comes(g *group) bool {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ctx, cancel := contextFor(time.Second)
		_, err := g.etcd.Get(ctx, "any")
		cancel()
		if err == nil {
			return true
		}
	}
	return false
}

// keepSnapshots copies the store to the share once a second, where that is all
// that is kept of it, until it is stopped.
func (w *world) keepSnapshots(g *group) (stop func()) {
	if !w.kind.snapshots {
		return func() {}
	}
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			if err := w.snapshot(g); err != nil {
				w.t.Log(err)
			}
			select {
			case <-end:
				return
			case <-time.After(time.Second):
			}
		}
	}()
	return func() { close(end); <-done }
}

func (w *world) snapshot(g *group) error {
	ctx, cancel := contextFor(10 * time.Second)
	defer cancel()
	stream, err := g.etcd.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	path := filepath.Join(w.dir, "snapshot.db")
	part, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	_, err = part.ReadFrom(stream)
	return errors.Join(err, part.Close(), os.Rename(part.Name(), path))
}

// restore makes a group's own store of the last snapshot.
func (g *group) restore() error {
	snapshot := filepath.Join(g.world.dir, "snapshot.db")
	if _, err := os.Stat(snapshot); err != nil {
		return nil
	}
	return exec.Command(filepath.Join(g.world.bin, "hyperkube"), "etcdutl", "snapshot", "restore", snapshot, "--data-dir="+g.local(), "--name=etcd",
		"--initial-cluster=etcd=http://"+g.peer, "--initial-advertise-peer-urls=http://"+g.peer).Run()
}

// local is the group's own disk.
func (g *group) local() string { return filepath.Join(g.world.dir, "local-"+strconv.Itoa(g.start)) }
