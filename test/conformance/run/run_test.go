package main

import (
	"os"
	"path/filepath"
	"testing"

	"frankenetes.dev/test/conformance"
)

func TestADirectoryOfSomebodyElseIsLeftAlone(t *testing.T) {
	home := t.TempDir()
	theirs := filepath.Join(home, "cloud.json")
	if err := os.WriteFile(theirs, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := cluster{bin: "/nonexistent", home: home}
	if err := c.up(t.Context()); err == nil || c.claimed {
		t.Errorf("it was taken: %v", err)
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Error(err)
	}
}

func TestWhatHasPassedIsNotRunAgain(t *testing.T) {
	results, err := conformance.OpenResults(filepath.Join(t.TempDir(), "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer results.Close()
	tests := []conformance.Test{{Name: "passed"}, {Name: "failed"}, {Name: "skipped"}, {Name: "new"}}
	s := session{results: results, seen: map[string]conformance.Outcome{}, total: len(tests)}
	for name, outcome := range map[string]conformance.Outcome{
		"passed": conformance.Passed, "failed": conformance.Failed, "skipped": conformance.Skipped} {
		s.keep(conformance.Result{Test: name, Outcome: outcome})
		s.keep(conformance.Result{Test: name, Outcome: outcome, Seconds: 3}) // with more to say
	}
	if s.ended != 3 || s.err != nil {
		t.Errorf("%d have ended, %v", s.ended, s.err)
	}
	left := s.notPassed(tests)
	if len(left) != 3 || left[0].Name != "failed" || left[2].Name != "new" {
		t.Errorf("left to run: %v", left)
	}
}

func TestResultsAreOfOneBuild(t *testing.T) {
	bin := t.TempDir()
	version := "#!/bin/sh\necho '{\"frankenetes\":\"v9\",\"kubernetes\":\"v1.36.3\"}'\n"
	for _, program := range programs() {
		path := filepath.Join(bin, program)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(version), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	key := func(nodes int) string {
		t.Helper()
		b, err := identify(t.Context(), bin, nodes)
		if err != nil || b.kubernetes != "v1.36.3" {
			t.Fatalf("%+v, %v", b, err)
		}
		return b.key()
	}
	one := key(1)
	if again := key(1); again != one {
		t.Errorf("the same build is %s and %s", one, again)
	}
	if two := key(2); two == one {
		t.Errorf("one node and two are both %s", one)
	}
	if err := os.WriteFile(filepath.Join(bin, "hyperkube"), []byte("another"), 0o755); err != nil {
		t.Fatal(err)
	}
	if another := key(1); another == one {
		t.Errorf("another hyperkube of the same version is %s too", one)
	}
}
