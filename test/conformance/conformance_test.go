package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEveryTestHasAKnownClass(t *testing.T) {
	tests, err := Tests()
	if err != nil {
		t.Fatal(err)
	}
	if len(tests) != 446 {
		t.Errorf("%d tests are classified; Kubernetes v1.36.3 has 446", len(tests))
	}
	seen := map[string]bool{}
	for _, test := range tests {
		if seen[test.Name] {
			t.Errorf("twice: %s", test.Name)
		}
		seen[test.Name] = true
		if classes, err := ParseClasses(test.Class); err != nil || len(classes) != 1 {
			t.Errorf("%s: class %q: %v", test.Name, test.Class, err)
		}
	}
}

// few are tests of several classes.
func few() []Test {
	return []Test{
		{Name: "[sig-a] Alpha should live [Conformance]", Class: "1"},
		{Name: "[sig-a] Beta [Serial] should be alone [Conformance]", Class: "2"},
		{Name: "[sig-a] Gamma should serve [Conformance]", Class: "4a"},
		{Name: "[sig-a] Delta should resolve [Conformance]", Class: "4b"},
	}
}

func TestAFilterSelectsByClassAndName(t *testing.T) {
	for _, test := range []struct {
		classes, focus string
		want           string
	}{
		{"", "", "Alpha Beta Gamma Delta"},
		{"1,4a", "", "Alpha Gamma"},
		{"4", "", "Gamma Delta"},
		{"", "should (live|serve)", "Alpha Gamma"},
		{"4", "resolve", "Delta"},
		{"2", "resolve", ""},
	} {
		classes, err := ParseClasses(test.classes)
		if err != nil {
			t.Fatal(err)
		}
		f := Filter{Classes: classes}
		if test.focus != "" {
			f.Focus = regexp.MustCompile(test.focus)
		}
		var got []string
		for _, selected := range f.Select(few()) {
			got = append(got, strings.Fields(selected.Name)[1])
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("class %q, focus %q: %v, want %s", test.classes, test.focus, got, test.want)
		}
	}
	if _, err := ParseClasses("1,9"); err == nil {
		t.Error("there is a class 9")
	}
}

func TestResultsOutliveARunThatIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "of-a-build", "results.jsonl")
	first, err := OpenResults(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b := few()[0].Name, few()[1].Name
	for _, r := range []Result{{Test: a, Outcome: Failed, Message: "no"}, {Test: b, Outcome: Passed}, {Test: a, Outcome: Passed, Seconds: 2}} {
		if err := first.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	// It is killed while it writes a line.
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"test":"` + b); err != nil {
		t.Fatal(err)
	}
	file.Close()

	second, err := OpenResults(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Add(Result{Test: few()[2].Name, Outcome: Skipped}); err != nil {
		t.Fatal(err)
	}
	second.Close()
	third, err := OpenResults(path)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	for name, want := range map[string]Outcome{a: Passed, b: Passed, few()[2].Name: Skipped, few()[3].Name: ""} {
		if got, _ := third.Of(name); got.Outcome != want {
			t.Errorf("%s: %q, want %q", name, got.Outcome, want)
		}
	}
}

// several is what ginkgo prints with several processes, as it did.
const several = `Will run 4 of 7579 specs
------------------------------
• [0.501 seconds]
[sig-a] Alpha should live [Conformance] [sig-a, Conformance]
/src/a.go:12

  STEP: Creating a kubernetes client @ 11/28/26 10:57:04.345
  I1128 [sig-a] Beta is spoken of
------------------------------
• [FAILED] [4.187 seconds]
[sig-a] Gamma [It] should serve [Conformance] [sig-a, Conformance]
/src/a.go:109

  Timeline >>
------------------------------
S [SKIPPED] [0.100 seconds]
[sig-a] Beta [Serial] [BeforeEach] should be alone [Conformance] [sig-a, Serial, Conformance]
  [BeforeEach] /src/a.go:1
------------------------------
• [INTERRUPTED] [1.000 seconds]
[sig-a] Delta [It] should resolve [Conformance] [sig-a, Conformance]
`

// single is what it prints with one.
const single = `------------------------------
[sig-a] Beta [Serial] should be alone [Conformance] [sig-a, Serial, Conformance]
/src/a.go:20
  STEP: one
• [2.250 seconds]
------------------------------
[sig-a] Delta should resolve [Conformance] [sig-a, Conformance]
/src/a.go:30
  [FAILED] in [It]
• [FAILED] [3.000 seconds]
[sig-a] Delta [It] should resolve [Conformance] [sig-a, Conformance]
------------------------------
`

func TestTestsAreToldOfWhenTheyEnd(t *testing.T) {
	for _, test := range []struct {
		said  string
		first bool
		want  string
	}{
		{several, false, "Alpha passed 0.501, Gamma failed 4.187, Beta skipped 0.1"},
		{single, true, "Beta passed 2.25, Delta failed 3"},
	} {
		var got []string
		f := &follower{first: test.first, ended: func(r Result) {
			got = append(got, fmt.Sprintf("%s %s %v", strings.Fields(r.Test)[1], r.Outcome, r.Seconds))
		}}
		for _, test := range few() {
			f.names = append(f.names, test.Name)
		}
		for _, c := range []byte(test.said) { // it comes in pieces
			if _, err := f.Write([]byte{c}); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("got %v, want %s", got, test.want)
		}
	}
}

func TestAReportTellsWhatTheProgressDoesNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	report := `[{"SpecReports":[
		{"LeafNodeType":"SynchronizedBeforeSuite","State":"passed","RunTime":5},
		{"ContainerHierarchyTexts":["[sig-a] Alpha"],"LeafNodeType":"It","LeafNodeText":"one","State":"passed","RunTime":1234567890,"EndTime":"2026-01-02T03:04:05Z"},
		{"ContainerHierarchyTexts":["[sig-a] Alpha"],"LeafNodeType":"It","LeafNodeText":"two","State":"timedout","RunTime":2000000000,
		 "Failure":{"Message":"too late","Location":{"FileName":"a.go","LineNumber":7}}},
		{"ContainerHierarchyTexts":["[sig-a] Alpha"],"LeafNodeType":"It","LeafNodeText":"three","State":"skipped","RunTime":1000000,"Failure":{"Message":"not here"}},
		{"ContainerHierarchyTexts":["[sig-a] Alpha"],"LeafNodeType":"It","LeafNodeText":"four","State":"skipped","RunTime":0},
		{"ContainerHierarchyTexts":["[sig-a] Alpha"],"LeafNodeType":"It","LeafNodeText":"five","State":"interrupted","RunTime":1000}]}]`
	if err := os.WriteFile(path, []byte(report), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []Result
	if err := readReport(path, func(r Result) { got = append(got, r) }); err != nil {
		t.Fatal(err)
	}
	want := []Result{
		{Test: "[sig-a] Alpha one", Outcome: Passed, Seconds: 1.2, Ended: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)},
		{Test: "[sig-a] Alpha two", Outcome: Failed, Seconds: 2, Message: "too late (a.go:7)"},
		{Test: "[sig-a] Alpha three", Outcome: Skipped, Message: "not here"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := readReport(path+".none", nil); err == nil {
		t.Error("a report that is not there is no error")
	}
}

func TestASuiteWithOtherTestsIsRefused(t *testing.T) {
	var names []string
	for _, test := range few() {
		names = append(names, test.Name)
	}
	if err := sameTests(names, few()); err != nil {
		t.Error(err)
	}
	err := sameTests(append(names[1:], "[sig-a] Epsilon"), few())
	if err == nil || !strings.Contains(err.Error(), "Epsilon") || !strings.Contains(err.Error(), "Alpha") {
		t.Errorf("one more, one less: %v", err)
	}
}
