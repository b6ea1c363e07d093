package cloudtest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	if machine.InEarnest() {
		f = figures{puts: 100, atOnce: 50, listed: 200, lists: 50}
	}
	m := machine.New(t)
	table := machine.NewFigures(t, "The embedded cloud")
	table.Add("first start, images imported", machine.Took(func() { m.Run("cloud", "start") }))
	m.Run("cloud", "stop")
	table.Add("start", machine.Spread(machine.Times(5, func(int) { m.Run("cloud", "start") }, func(int) { m.Run("cloud", "stop") })))
	m.Run("cloud", "start")
	c := &localCloud{Machine: m, conn: m.Connect()}
	if err := c.conn.PutResourceGroup(c.ctx(), resourceGroup, c.conn.Location, nil); err != nil {
		t.Fatal(err)
	}
	addMemory(table, "without groups", m.Memory())
	each := machine.Times(f.puts, func(i int) {
		if err := c.run("one-" + strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}, func(i int) { c.remove("one-" + strconv.Itoa(i)) })
	table.Add("PUT to Running, one after another", machine.Spread(each))
	table.Add(fmt.Sprintf("PUT to Running, %d at once: all", f.atOnce), machine.Took(func() { c.runAll(0, f.atOnce, f.atOnce) }))
	c.runAll(f.atOnce, f.listed, 8)
	lists := machine.Times(f.lists, func(int) {
		groups, err := c.conn.ListGroups(c.ctx(), resourceGroup)
		if err != nil || len(groups) != f.listed {
			t.Fatalf("%d groups, %v", len(groups), err)
		}
	}, nil)
	table.Add(fmt.Sprintf("list of %d groups", f.listed), machine.Spread(lists))
	addMemory(table, fmt.Sprintf("with %d groups", f.listed), m.Memory())
}

func addMemory(table *machine.Figures, when string, used map[string]int64) {
	for _, program := range slices.Sorted(maps.Keys(used)) {
		table.Add("memory of "+program+" "+when, machine.Megabytes(used[program]))
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
