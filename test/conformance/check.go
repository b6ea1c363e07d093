package conformance

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// CheckSuite makes sure that the suite in a directory of programs has the
// tests that are classified here, no more and no fewer.
func CheckSuite(ctx context.Context, programs string, tests []Test) error {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "e2e.test"), "--list-conformance-tests")
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("list the tests of the suite: %w: %s", err, said.String())
	}
	var listed []struct {
		Codename string `json:"codename"`
	}
	if err := yaml.Unmarshal(out, &listed); err != nil {
		return fmt.Errorf("list the tests of the suite: %w", err)
	}
	names := make([]string, len(listed))
	for i, l := range listed {
		names[i] = l.Codename
	}
	return sameTests(names, tests)
}

func sameTests(names []string, tests []Test) error {
	const known, found = 1, 2
	where := map[string]int{}
	for _, t := range tests {
		where[t.Name] |= known
	}
	for _, name := range names {
		where[name] |= found
	}
	var wrong []string
	for name, at := range where {
		switch at {
		case known:
			wrong = append(wrong, "the suite does not have "+name)
		case found:
			wrong = append(wrong, "classes.json does not have "+name)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the suite and its classification differ:\n  %s", strings.Join(wrong, "\n  "))
	}
	return nil
}
