package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"frankenetes.dev/test/conformance"
)

// session is one run of tests whose results are kept.
type session struct {
	results *conformance.Results
	output  string

	total, ended int
	seen         map[string]conformance.Outcome
	err          error
}

// notPassed returns those of the tests that have not passed yet.
func (s *session) notPassed(tests []conformance.Test) []conformance.Test {
	return slices.DeleteFunc(slices.Clone(tests), func(t conformance.Test) bool {
		result, ok := s.results.Of(t.Name)
		return ok && result.Outcome == conformance.Passed
	})
}

// run runs the tests that others may run beside, then those that want to be alone.
func (s *session) run(ctx context.Context, suite conformance.Suite, tests []conformance.Test, procs int) error {
	output, err := filepath.Abs(s.output)
	if err != nil {
		return err
	}
	suite.Output = output
	s.total, s.seen = len(tests), map[string]conformance.Outcome{}
	alone := func(t conformance.Test) bool { return t.Serial() }
	serial := slices.DeleteFunc(slices.Clone(tests), func(t conformance.Test) bool { return !alone(t) })
	parallel := slices.DeleteFunc(slices.Clone(tests), alone)
	fmt.Fprintf(os.Stderr, "\n%d tests, %d of them one by one; what they say is in %s\n", len(tests), len(serial), output)
	if err := suite.Run(ctx, "parallel", parallel, procs, s.keep); err != nil {
		return err
	}
	if err := suite.Run(ctx, "serial", serial, 1, s.keep); err != nil {
		return err
	}
	return s.err
}

// keep keeps a result, and prints a line for it when it is the first of its test.
func (s *session) keep(r conformance.Result) {
	if err := s.results.Add(r); err != nil && s.err == nil {
		s.err = err
	}
	if s.seen[r.Test] == r.Outcome {
		return
	}
	if _, again := s.seen[r.Test]; !again {
		s.ended++
	}
	s.seen[r.Test] = r.Outcome
	mark := map[conformance.Outcome]string{conformance.Passed: "✓", conformance.Failed: "✗", conformance.Skipped: "-"}[r.Outcome]
	fmt.Fprintf(os.Stderr, " %s %3d/%d %s %s\n", mark, s.ended, s.total, r.Ended.Local().Format("15:04:05"), r.Test)
}
