package conformance

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// Subject is what the tests were run on.
type Subject struct {
	// Version is Frankenetes', Kubernetes that of components and suite.
	Version, Kubernetes string
	Nodes               int
}

// Group are tests that fail for one reason.
type Group struct {
	Reason string
	Tests  []Ended
}

//go:embed document.md.tmpl
var documentText string

// document is what its template is given.
type document struct {
	Subject
	Summary
	// Failures are the tests that failed, by their reasons; those that nobody
	// has understood are apart.
	Failures      []Group
	NotUnderstood []Ended
	Skipped       []Ended
}

// WriteDocument writes what came of the tests, and why, to a file.
func (s Summary) WriteDocument(path string, subject Subject, reasons Reasons) error {
	text, err := s.document(subject, reasons)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

func (s Summary) document(subject Subject, reasons Reasons) ([]byte, error) {
	d := document{Subject: subject, Summary: s}
	d.Failures, d.NotUnderstood = s.group(reasons)
	for _, t := range s.Tests {
		if t.Result.Outcome == Skipped {
			d.Skipped = append(d.Skipped, t)
		}
	}
	parsed, err := template.New("document").Parse(documentText)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, d); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// group sorts what failed by its reason, in the order of the reasons.
func (s Summary) group(reasons Reasons) (groups []Group, notUnderstood []Ended) {
	by := map[string][]Ended{}
	for _, t := range s.Tests {
		if t.Result.Outcome != Failed {
			continue
		}
		reason := reasons.Of(t.Test)
		if reason == "" {
			notUnderstood = append(notUnderstood, t)
			continue
		}
		by[reason] = append(by[reason], t)
	}
	for _, r := range reasons {
		if tests := by[r.Reason]; len(tests) > 0 {
			groups = append(groups, Group{r.Reason, tests})
			delete(by, r.Reason) // several entries may have one reason
		}
	}
	return groups, notUnderstood
}
