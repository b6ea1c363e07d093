package conformance

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEveryReasonIsOfATest(t *testing.T) {
	reasons, err := KnownReasons()
	if err != nil {
		t.Fatal(err)
	}
	tests, err := Tests()
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range reasons {
		if !slices.ContainsFunc(tests, func(test Test) bool { return r.of(test) }) {
			t.Errorf("entry %d of reasons.yaml is of no test: %+v", i+1, r)
		}
	}
}

func TestAReasonNeedsTestsOrAClass(t *testing.T) {
	for _, text := range []string{"- reason: why", "- class: 4b", "- tests: '['\n  reason: why", "- reasons: why", "- {class: 1, reason: why, note: x}"} {
		if _, err := parseReasons([]byte(text)); err == nil {
			t.Errorf("accepted: %s", text)
		}
	}
}

func TestTheDocumentTellsEveryFailureWithItsReason(t *testing.T) {
	results, err := OpenResults(filepath.Join(t.TempDir(), "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer results.Close()
	tests := few()
	for i, outcome := range []Outcome{Passed, Failed, Failed} {
		if err := results.Add(Result{Test: tests[i].Name, Outcome: outcome}); err != nil {
			t.Fatal(err)
		}
	}
	reasons, err := parseReasons([]byte("- {tests: Alpha, reason: It has passed all the same.}\n- {class: 4a, tests: Gamma, reason: It cannot serve.}"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := Summarize(tests, results).document(Subject{Version: "v1", Kubernetes: "v1.36.3", Nodes: 1}, reasons)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Of the 4 tests", "**1 pass**", "(Frankenetes v1, 1 node)",
		"| 1 | control plane | 1 | 0 | 0 | 0 | 1 |",
		"| 4b | cluster DNS | 0 | 0 | 0 | 1 | 1 |",
		"| | **all** | **1** | **2** | **0** | **1** | **4** |",
		"**It cannot serve.** (1)\n\n* " + tests[2].Name,
		"**Not yet understood** (1)\n\n* " + tests[1].Name,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the document does not have %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "It has passed") {
		t.Errorf("a reason without a failure is told:\n%s", text)
	}
}
