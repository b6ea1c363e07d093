package durability

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// outcome is what is known of an operation.
type outcome int

const (
	unknown outcome = iota // it may have been done, or be done later
	done
	refused // it was not done
)

// operation is one that a writer has asked for.
type operation struct {
	writer     int
	kind       string // "put", "delete", "add", "read"
	key        string
	value      int // written, or of the counter before an addition or read
	call, back time.Time
	outcome    outcome
	revision   int64 // of the store, in the answer
}

// history is what all writers did. It is kept in the test, where nothing that
// happens to a group reaches it.
type history struct {
	mu  sync.Mutex
	all []operation
}

func (h *history) add(o operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, o)
}

func (h *history) copy() []operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]operation(nil), h.all...)
}

// acknowledged counts the writes that were.
func acknowledged(all []operation) (n int) {
	for _, o := range all {
		if o.outcome == done && o.kind != "read" {
			n++
		}
	}
	return n
}

// final is the content of the store in the end, and its revision.
type final struct {
	values   map[string]int
	revision int64
}

// judge returns everything that is wrong with a history and what is left of it.
func judge(all []operation, f final) []string {
	wrong := append(judgeKeys(all, f), judgeRevisions(all, f)...)
	if !linearizable(all, f) {
		wrong = append(wrong, "no order of the counter's additions explains what was seen")
	}
	return wrong
}

// judgeKeys looks at keys that have one writer each, whose values only grow,
// and at keys that were deleted for good.
func judgeKeys(all []operation, f final) (wrong []string) {
	acked, asked := map[string]int{}, map[string]int{}
	deleted, mayBe := map[string]bool{}, map[string]bool{}
	for _, o := range all {
		switch {
		case o.kind == "put":
			asked[o.key] = max(asked[o.key], o.value)
			if o.outcome == done {
				acked[o.key] = max(acked[o.key], o.value)
			}
		case o.kind == "delete":
			deleted[o.key] = o.outcome == done
			mayBe[o.key] = o.outcome != refused
		}
	}
	for key, value := range acked {
		if got := f.values[key]; !mayBe[key] && got < value {
			wrong = append(wrong, fmt.Sprintf("%s: %d was acknowledged, there is %d", key, value, got))
		}
	}
	for key, got := range f.values {
		if most, ours := asked[key]; ours && got > most {
			wrong = append(wrong, fmt.Sprintf("%s: there is %d, nobody has written more than %d", key, got, most))
		}
		if deleted[key] {
			wrong = append(wrong, key+": it was deleted, and is there")
		}
	}
	return wrong
}

// judgeRevisions finds revisions that go back: a watch would miss changes.
func judgeRevisions(all []operation, f final) (wrong []string) {
	for _, later := range all {
		if later.outcome != done {
			continue
		}
		if later.revision > f.revision {
			wrong = append(wrong, fmt.Sprintf("revision %d was seen, in the end it is %d", later.revision, f.revision))
		}
	}
	// In the order of their answers, each that was asked after another's answer
	// has at least its revision.
	highest := make([]operation, 0, len(all))
	for _, o := range byBack(all) {
		if o.outcome != done {
			continue
		}
		if before := lastBefore(highest, o.call); before != nil && before.revision > o.revision {
			wrong = append(wrong, fmt.Sprintf("revision %d was seen, and %d after it", before.revision, o.revision))
		}
		if len(highest) == 0 || o.revision > highest[len(highest)-1].revision {
			highest = append(highest, o)
		}
	}
	return wrong
}

// byBack are operations in the order of their answers.
func byBack(all []operation) []operation {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b operation) int { return a.back.Compare(b.back) })
	return sorted
}

// lastBefore is the last of some operations, in the order of their answers, whose
// answer came before a time.
func lastBefore(sorted []operation, t time.Time) *operation {
	at := sort.Search(len(sorted), func(i int) bool { return !sorted[i].back.Before(t) })
	if at == 0 {
		return nil
	}
	return &sorted[at-1]
}

// adding is the counter's model. The input is an operation. One whose outcome is
// not known may be put last, where it does nothing any more.
func adding() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, input, _ any) (bool, any) {
			count, o := state.(int), input.(operation)
			switch {
			case o.kind == "read":
				return count == o.value, count
			case count == o.value:
				return o.outcome != refused, count + 1
			}
			return o.outcome != done, count
		},
		Equal: func(a, b any) bool { return a.(int) == b.(int) },
	}
}

// linearizable reports whether some order of the counter's operations explains
// all answers, and its value in the end.
func linearizable(all []operation, f final) bool {
	var ops []porcupine.Operation
	last := int64(0)
	for _, o := range all {
		if o.kind != "add" && o.kind != "read" || o.kind == "read" && o.outcome != done || o.outcome == refused {
			continue
		}
		back := int64(math.MaxInt64)
		if o.outcome == done {
			back = o.back.UnixNano()
		}
		last = max(last, o.back.UnixNano())
		ops = append(ops, porcupine.Operation{ClientId: o.writer, Input: o, Call: o.call.UnixNano(), Return: back})
	}
	ops = append(ops, porcupine.Operation{Input: operation{kind: "read", value: f.values[counter], outcome: done}, Call: last + 1, Return: last + 2})
	return porcupine.CheckOperationsTimeout(adding(), ops, time.Minute) == porcupine.Ok
}
