package conformance

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Count is how many tests ended how.
type Count struct{ Passed, Failed, Skipped, NotRun int }

func (c *Count) add(outcome Outcome) {
	switch outcome {
	case Passed:
		c.Passed++
	case Failed:
		c.Failed++
	case Skipped:
		c.Skipped++
	default:
		c.NotRun++
	}
}

// Total is how many tests there are.
func (c Count) Total() int { return c.Passed + c.Failed + c.Skipped + c.NotRun }

// ClassCount is the count of a class.
type ClassCount struct {
	Class
	Count
}

// Ended is a test with its result, which is empty when it was not run.
type Ended struct {
	Test
	Result Result
}

// Summary is what came of tests.
type Summary struct {
	All     Count
	Classes []ClassCount
	Tests   []Ended
}

// Summarize collects the last results of the tests.
func Summarize(tests []Test, results *Results) Summary {
	var s Summary
	byClass := map[string]*Count{}
	for _, c := range Classes() {
		byClass[c.ID] = &Count{}
	}
	for _, t := range tests {
		result, _ := results.Of(t.Name)
		s.Tests = append(s.Tests, Ended{t, result})
		s.All.add(result.Outcome)
		byClass[t.Class].add(result.Outcome)
	}
	for _, c := range Classes() {
		if count := byClass[c.ID]; count.Total() > 0 {
			s.Classes = append(s.Classes, ClassCount{c, *count})
		}
	}
	return s
}

// WriteTable writes the counts for people to read.
func (s Summary) WriteTable(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\npassed\tfailed\tskipped\tnot run\tof\t  class")
	for _, c := range s.Classes {
		c.row(w, c.ID+" "+c.Title)
	}
	s.All.row(w, "all")
	return w.Flush()
}

func (c Count) row(w io.Writer, title string) {
	fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t  %s\n", c.Passed, c.Failed, c.Skipped, c.NotRun, c.Total(), title)
}
