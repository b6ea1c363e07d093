package process

import (
	"bytes"
	"context"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// helper is the owner of processes that are the agent's own.
const helper = ""

// Sweep kills whatever the programs of an owner have left behind, and returns
// when it is gone or the context is done. It is what the end of a container's
// first process does to all others, so that a restart starts clean. Orphans
// that cannot be told from those of another owner who still runs are spared.
func (r *Reaper) Sweep(ctx context.Context, owner string) {
	r.kill(ctx, func(table processTable) []int {
		kept, helpers := map[int]bool{}, map[int]bool{}
		for _, c := range r.children {
			switch c.owner {
			case owner:
			case helper:
				helpers[c.PID] = true
			default:
				kept[c.PID] = true
			}
		}
		return table.descendants(os.Getpid(), func(pid int, p processEntry) bool {
			return kept[pid] || kept[p.session] || helpers[pid]
		}, func(pid int) bool {
			_, known := r.children[pid]
			return known || len(kept) == 0
		})
	})
}

// KillTree kills a child, what descends from it, and its session.
func (c *Child) KillTree(ctx context.Context) {
	c.reaper.kill(ctx, func(table processTable) []int {
		var victims []int
		for pid, p := range table {
			if p.session == c.PID || table.descends(pid, c.PID) {
				victims = append(victims, pid)
			}
		}
		return victims
	})
}

// kill kills what find finds until it finds nothing: a process that is about
// to be killed can still start others.
func (r *Reaper) kill(ctx context.Context, find func(processTable) []int) {
	for {
		r.mu.Lock()
		victims := find(readProcesses())
		for _, pid := range victims {
			_ = unix.Kill(pid, unix.SIGKILL) // gone already, or not ours to kill
		}
		reaped := r.reaped
		r.mu.Unlock()
		if len(victims) == 0 {
			return
		}
		select {
		case <-reaped:
		case <-ctx.Done():
			return
		}
	}
}

// processEntry is a line of the process table.
type processEntry struct{ parent, session int }

// processTable has every process that is no zombie, by PID.
type processTable map[int]processEntry

// descendants returns the processes below root for which, and for whose
// ancestors up to root, spared is false, if the topmost of those is wanted.
func (t processTable) descendants(root int, spared func(int, processEntry) bool, wanted func(int) bool) []int {
	var found []int
	for pid := range t {
		for at := pid; at != root; {
			p, ok := t[at]
			if !ok || spared(at, p) {
				break
			}
			if p.parent == root && wanted(at) {
				found = append(found, pid)
			}
			at = p.parent
		}
	}
	return found
}

func (t processTable) descends(pid, ancestor int) bool {
	for {
		if pid == ancestor {
			return true
		}
		p, ok := t[pid]
		if !ok {
			return false
		}
		pid = p.parent
	}
}

func readProcesses() processTable {
	table := processTable{}
	proc, err := os.Open("/proc")
	if err != nil {
		return table
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it has ended since
		}
		if p, ok := parseStat(stat); ok {
			table[pid] = p
		}
	}
	return table
}

// parseStat reads "pid (name) state parent group session ...", see proc(5). The
// name may contain anything, even ")".
func parseStat(stat []byte) (processEntry, bool) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return processEntry{}, false
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 4 || fields[0][0] == 'Z' || fields[0][0] == 'X' {
		return processEntry{}, false
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	session, err2 := strconv.Atoi(string(fields[3]))
	return processEntry{parent, session}, err1 == nil && err2 == nil
}
