package conformance

import (
	"context"
	_ "embed"
	"path/filepath"
	"strings"
	"testing"

	"frankenetes.dev/test/machine"
)

//go:embed short.txt
var short string

// shortly returns the tests of short.txt.
func shortly(t *testing.T) []Test {
	t.Helper()
	all, err := Tests()
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]Test{}
	for _, test := range all {
		byName[test.Name] = test
	}
	var chosen []Test
	for line := range strings.Lines(short) {
		name := strings.TrimSpace(line)
		if name == "" || strings.HasPrefix(name, "#") {
			continue
		}
		test, ok := byName[name]
		if !ok {
			t.Errorf("short.txt: the suite has no test %q", name)
		}
		chosen = append(chosen, test)
	}
	return chosen
}

// TestShort runs a few conformance tests of every class that works, all of
// which pass: it is what CI runs of the suite.
func TestShort(t *testing.T) {
	chosen := shortly(t)
	m := machine.New(t)
	m.Run("cloud", "start")
	m.Run("image", "load", filepath.Join(m.Bin, "conformance", "images"))
	m.Run("up")
	m.Run("kubeconfig", "--merge", "--embed")
	suite := Suite{
		Programs: filepath.Join(m.Bin, "conformance"), Output: t.TempDir(), Nodes: 1,
		Kubeconfig: filepath.Join(filepath.Dir(m.Home), "kubeconfig"),
	}
	results := map[string]Result{}
	if err := suite.Run(context.Background(), "short", chosen, 2, func(r Result) { results[r.Test] = r }); err != nil {
		t.Error(err)
	}
	for _, test := range chosen {
		if r := results[test.Name]; r.Outcome != Passed {
			t.Errorf("%s: %q after %.0f s: %s", test.Name, r.Outcome, r.Seconds, r.Message)
		}
	}
}
