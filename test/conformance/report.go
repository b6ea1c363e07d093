package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// spec is the part of ginkgo's report of a test that is of interest here.
type spec struct {
	ContainerHierarchyTexts []string
	LeafNodeType            string
	LeafNodeText            string
	State                   string
	EndTime                 time.Time
	RunTime                 time.Duration
	Failure                 struct {
		Message  string
		Location struct {
			FileName   string
			LineNumber int
		}
	}
}

// readReport gives the results that a report of ginkgo's has to ended. A run
// that was killed leaves none.
func readReport(path string, ended func(Result)) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the suite left no report: %w", err)
	}
	if err != nil {
		return fmt.Errorf("read the suite's report: %w", err)
	}
	var suites []struct{ SpecReports []spec }
	if err := json.Unmarshal(data, &suites); err != nil {
		return fmt.Errorf("read the suite's report %s: %w", path, err)
	}
	for _, suite := range suites {
		for _, s := range suite.SpecReports {
			if result, ok := s.result(); ok {
				ended(result)
			}
		}
	}
	return nil
}

// outcomes are what ginkgo's states mean here. Tests that were not chosen, or
// that an interrupt ended, have none.
func outcomes() map[string]Outcome {
	return map[string]Outcome{
		"passed": Passed, "failed": Failed, "panicked": Failed, "timedout": Failed, "aborted": Failed, "skipped": Skipped,
	}
}

func (s spec) result() (Result, bool) {
	outcome, ok := outcomes()[s.State]
	// A test that was not chosen is skipped too, without having begun.
	if !ok || s.LeafNodeType != "It" || outcome == Skipped && s.RunTime == 0 {
		return Result{}, false
	}
	r := Result{
		Test:    strings.Join(append(s.ContainerHierarchyTexts, s.LeafNodeText), " "),
		Outcome: outcome, Seconds: s.RunTime.Round(100 * time.Millisecond).Seconds(), Ended: s.EndTime,
	}
	if outcome != Passed {
		r.Message = beginning(s.Failure.Message)
		if at := s.Failure.Location; at.FileName != "" {
			r.Message += fmt.Sprintf(" (%s:%d)", at.FileName, at.LineNumber)
		}
	}
	return r, true
}

// maxMessage is how much of a failure is kept; all of it is in the log.
const maxMessage = 1500

func beginning(message string) string {
	if len(message) > maxMessage {
		return message[:maxMessage] + " …"
	}
	return message
}
