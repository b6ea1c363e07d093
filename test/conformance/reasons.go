package conformance

import (
	_ "embed"
	"fmt"
	"regexp"

	"sigs.k8s.io/yaml"
)

//go:embed reasons.yaml
var reasons []byte

// Reason says why tests fail. It is of the tests whose names match Tests, and
// whose class is Class; what is empty is of all.
type Reason struct {
	Tests  string `json:"tests,omitempty"`
	Class  string `json:"class,omitempty"`
	Reason string `json:"reason"`

	pattern *regexp.Regexp
}

// Reasons are reasons in the order in which they are asked: the first one that
// is of a test is its reason.
type Reasons []Reason

// KnownReasons returns what reasons.yaml has.
func KnownReasons() (Reasons, error) { return parseReasons(reasons) }

func parseReasons(data []byte) (Reasons, error) {
	var all Reasons
	if err := yaml.UnmarshalStrict(data, &all); err != nil {
		return nil, fmt.Errorf("read reasons.yaml: %w", err)
	}
	for i := range all {
		if all[i].Reason == "" || all[i].Tests == "" && all[i].Class == "" {
			return nil, fmt.Errorf("read reasons.yaml: entry %d needs a reason, and tests or a class", i+1)
		}
		pattern, err := regexp.Compile(all[i].Tests)
		if err != nil {
			return nil, fmt.Errorf("read reasons.yaml: entry %d: %w", i+1, err)
		}
		all[i].pattern = pattern
	}
	return all, nil
}

// Of returns why a test fails; it is empty when nobody has understood it yet.
func (rs Reasons) Of(t Test) string {
	for _, r := range rs {
		if r.of(t) {
			return r.Reason
		}
	}
	return ""
}

func (r Reason) of(t Test) bool {
	return (r.Class == "" || r.Class == t.Class) && r.pattern.MatchString(t.Name)
}
