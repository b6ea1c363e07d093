package cloudtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"frankenetes.dev/cloud"
	"frankenetes.dev/test/machine"
)

// figures is how much is measured: enough to be worth reading with `make
// figures`, and otherwise just enough to know that it still works.
type figures struct{ puts, atOnce, listed, lists int }

// TestFigures measures the cloud and prints what it found. It asserts nothing
// about times, which are the machine's as much as the cloud's.
func TestFigures(t *testing.T) {
	f := figures{puts: 2, atOnce: 3, listed: 4, lists: 2}
	if os.Getenv("FRANKENETES_FIGURES") != "" {
		f = figures{puts: 100, atOnce: 50, listed: 200, lists: 50}
	}
	m := machine.New(t)
	t.Logf("first start, images imported: %v", took(func() { m.Run("cloud", "start") }))
	m.Run("cloud", "stop")
	t.Logf("start: %v", spread(times(5, func(int) { m.Run("cloud", "start") }, func(int) { m.Run("cloud", "stop") })))
	m.Run("cloud", "start")
	c := &localCloud{Machine: m, conn: m.Connect()}
	if err := c.conn.PutResourceGroup(c.ctx(), resourceGroup, c.conn.Location, nil); err != nil {
		t.Fatal(err)
	}
	for name, pid := range c.processes() {
		t.Logf("idle memory of %s: %s", name, memory(t, pid))
	}
	each := times(f.puts, func(i int) {
		if err := c.run("one-" + strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}, func(i int) { c.remove("one-" + strconv.Itoa(i)) })
	t.Logf("PUT to Running, one after another: %v", spread(each))
	t.Logf("PUT to Running, %d at once: all after %v", f.atOnce, took(func() { c.runAll(0, f.atOnce, f.atOnce) }))
	c.runAll(f.atOnce, f.listed, 8)
	lists := times(f.lists, func(int) {
		groups, err := c.conn.ListGroups(c.ctx(), resourceGroup)
		if err != nil || len(groups) != f.listed {
			t.Fatalf("%d groups, %v", len(groups), err)
		}
	}, nil)
	t.Logf("list of %d groups: %v", f.listed, spread(lists))
	for name, pid := range c.processes() {
		t.Logf("memory of %s with %d groups: %s", name, f.listed, memory(t, pid))
	}
}

// run makes a group of one container and returns when it is Running.
func (c *localCloud) run(name string) error {
	ctx := c.ctx()
	err := c.conn.PutGroup(ctx, resourceGroup, name, c.group(sleeper("main")))
	for err == nil {
		var g *cloud.Group
		if g, err = c.conn.GetGroup(ctx, resourceGroup, name); err == nil && stateOf(g) == "Running" {
			return nil
		}
		time.Sleep(5 * time.Millisecond) // finer than what is measured; ARM has no event for it
	}
	return err
}

// runAll makes groups with numbers from first on, so many side by side.
func (c *localCloud) runAll(first, end, sideBySide int) {
	c.T.Helper()
	var work errgroup.Group
	work.SetLimit(sideBySide)
	for i := first; i < end; i++ {
		work.Go(func() error { return c.run(fmt.Sprintf("many-%d", i)) })
	}
	if err := work.Wait(); err != nil {
		c.T.Fatal(err)
	}
}

func took(fn func()) time.Duration {
	begin := time.Now()
	fn()
	return time.Since(begin).Round(time.Millisecond)
}

// times measures fn so many times, and what comes after it not.
func times(n int, fn, after func(i int)) []time.Duration {
	var all []time.Duration
	for i := range n {
		all = append(all, took(func() { fn(i) }))
		if after != nil {
			after(i)
		}
	}
	return all
}

// spread tells of measurements: how many, least, median, 99th percentile, most.
func spread(all []time.Duration) string {
	slices.Sort(all)
	at := func(share float64) time.Duration { return all[int(share*float64(len(all)-1)+0.5)] }
	return fmt.Sprintf("%d times, least %v, median %v, p99 %v, most %v", len(all), all[0], at(0.5), at(0.99), all[len(all)-1])
}

// processes are the daemon and its containerd.
func (c *localCloud) processes() map[string]int {
	c.T.Helper()
	daemon := c.Status().PID
	found := map[string]int{"the daemon": daemon}
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		c.T.Fatal(err)
	}
	for _, path := range paths {
		line, _ := os.ReadFile(path)
		program, rest, _ := strings.Cut(string(line), "\x00")
		if filepath.Base(program) == "containerd" && strings.Contains(rest, c.Home) {
			found["containerd"], _ = strconv.Atoi(strings.Split(path, "/")[2])
		}
	}
	return found
}

// memory is what a process has of it: all that is resident, and its share.
func memory(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if name, amount, _ := strings.Cut(line, ":"); name == "Rss" || name == "Pss" {
			found = append(found, name+" "+strings.Join(strings.Fields(amount), " "))
		}
	}
	return strings.Join(found, ", ")
}
