package conformance

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// follower reads what ginkgo prints while it runs, and tells of each test as it
// ends. The suite has an address for that (--progress-report-url), but posts
// nothing for single tests. What is not understood here is in the report, at
// the end.
type follower struct {
	// names are the tests that run.
	names []string
	// first is whether a test's name comes before its outcome: with one
	// process ginkgo prints as it goes, with several when a test has ended.
	first bool
	ended func(Result)

	line    []byte
	name    string
	pending *Result
}

// maxLine is how much of a line is looked at.
const maxLine = 4 << 10

// Write takes what is printed. It never fails.
func (f *follower) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part, after, whole := bytes.Cut(rest, []byte("\n"))
		if room := maxLine - len(f.line); room > 0 {
			f.line = append(f.line, part[:min(len(part), room)]...)
		}
		if whole {
			f.read(string(f.line))
			f.line = f.line[:0]
		}
		rest = after
	}
	return len(p), nil
}

var (
	// outcomeLine is such as "• [FAILED] [4.187 seconds]".
	outcomeLine = regexp.MustCompile(`^[•SP] (?:\[([A-Z!]+)\] )?\[([0-9.]+) seconds\]`)
	// failedNode is what ginkgo puts into the name of a test that failed.
	failedNode = regexp.MustCompile(`(?:TOP-LEVEL )?\[(?:It|BeforeEach|JustBeforeEach|AfterEach|JustAfterEach|DeferCleanup \(Each\))\] ?`)
)

func (f *follower) read(line string) {
	if m := outcomeLine.FindStringSubmatch(line); m != nil {
		f.outcome(m[1], m[2])
		return
	}
	if !strings.HasPrefix(line, "[") && !strings.HasPrefix(line, "TOP-LEVEL") {
		return
	}
	name := f.find(failedNode.ReplaceAllString(line, ""))
	if name == "" {
		return
	}
	f.name = name
	if f.pending != nil {
		f.tell(*f.pending)
	}
}

// outcome reads how a test ended.
func (f *follower) outcome(word, seconds string) {
	f.pending = nil
	outcome, ok := map[string]Outcome{"": Passed, "FAILED": Failed, "PANICKED!": Failed, "TIMEDOUT": Failed, "SKIPPED": Skipped}[word]
	if !ok {
		return
	}
	r := Result{Outcome: outcome, Ended: time.Now()}
	r.Seconds, _ = strconv.ParseFloat(seconds, 64) // digits, or 0
	if f.first {
		f.tell(r)
		return
	}
	f.pending = &r
}

func (f *follower) tell(r Result) {
	f.pending = nil
	if r.Test, f.name = f.name, ""; r.Test != "" {
		f.ended(r)
	}
}

// find returns the test whose name a line begins with; labels follow it.
func (f *follower) find(line string) string {
	found := ""
	for _, name := range f.names {
		if len(name) > len(found) && strings.HasPrefix(line, name) {
			found = name
		}
	}
	return found
}
