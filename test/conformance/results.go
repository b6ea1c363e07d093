package conformance

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Outcome is how a test ended.
type Outcome string

// The outcomes. A test that was interrupted has none.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is what came of a test.
type Result struct {
	Test    string    `json:"test"`
	Outcome Outcome   `json:"outcome"`
	Seconds float64   `json:"seconds,omitempty"`
	Ended   time.Time `json:"ended"`
	// Message is the beginning of what a test that failed, or was skipped, said.
	Message string `json:"message,omitempty"`
}

// Results are the results of one build, in a file of one line each. Every one
// is written as it comes, so that an interrupted run can be gone on with; of
// several of a test, the last one counts.
type Results struct {
	mu   sync.Mutex
	file *os.File
	last map[string]Result
}

// OpenResults opens or begins the file at path.
func OpenResults(path string) (*Results, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("open results: %w", err)
	}
	last, err := readResults(path)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open results: %w", err)
	}
	return &Results{file: file, last: last}, nil
}

// readResults reads what there is. A last line that is not whole was being
// written when the run was killed.
func readResults(path string) (map[string]Result, error) {
	last := map[string]Result{}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return last, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r Result
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Test != "" {
			last[r.Test] = r
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read results of %s: %w", path, err)
	}
	return last, nil
}

// Add keeps a result.
func (r *Results) Add(result Result) error {
	line, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("keep result of %s: %w", result.Test, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// A line of its own also after one that was cut short.
	if _, err := r.file.Write(append([]byte("\n"), append(line, '\n')...)); err != nil {
		return fmt.Errorf("keep result of %s: %w", result.Test, err)
	}
	r.last[result.Test] = result
	return nil
}

// Of returns the last result of a test, if it has any.
func (r *Results) Of(test string) (Result, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	result, ok := r.last[test]
	return result, ok
}

// Close ends the writing.
func (r *Results) Close() error { return r.file.Close() }
