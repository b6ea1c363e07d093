package conformance

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Test is a test of the suite.
type Test struct {
	// Name is its full name, which the suite calls its codename.
	Name string `json:"name"`
	// Class is what it needs of a cluster: see Classes.
	Class string `json:"class"`
	// Note says more of that, where there is more to say.
	Note string `json:"note,omitempty"`
}

// Serial reports whether no other test may run at the same time.
func (t Test) Serial() bool { return strings.Contains(t.Name, "[Serial]") }

// Class is what tests have in common that need the same of a cluster.
type Class struct{ ID, Title string }

// Classes returns the classes, the easiest first. A test is of the hardest
// that it needs.
func Classes() []Class {
	return []Class{
		{"1", "control plane"},
		{"2", "pods"},
		{"3", "volumes that change"},
		{"4a", "the API server dials pods"},
		{"4b", "cluster DNS"},
		{"4c", "ClusterIP"},
		{"4d", "NodePort"},
		{"5", "features of a host"},
		{"6", "two nodes"},
		{"7", "changes to running pods, and others"},
	}
}

//go:embed classes.json
var classified []byte

// Tests returns all tests of the suite, in its order.
func Tests() ([]Test, error) {
	var all []Test
	if err := json.Unmarshal(classified, &all); err != nil {
		return nil, fmt.Errorf("read classes.json: %w", err)
	}
	return all, nil
}

// Filter selects tests. Empty members select all.
type Filter struct {
	// Classes are the classes wanted; "4" also means 4a to 4d.
	Classes []string
	// Focus is found in the names of the tests wanted.
	Focus *regexp.Regexp
}

// All reports whether the filter lets every test pass.
func (f Filter) All() bool { return len(f.Classes) == 0 && f.Focus == nil }

// Select returns those of the tests that the filter lets pass.
func (f Filter) Select(tests []Test) []Test {
	return slices.DeleteFunc(slices.Clone(tests), func(t Test) bool {
		return len(f.Classes) > 0 && !slices.ContainsFunc(f.Classes, func(class string) bool {
			return t.Class == class || strings.TrimRight(t.Class, "abcd") == class
		}) || f.Focus != nil && !f.Focus.MatchString(t.Name)
	})
}

// ParseClasses reads a list of classes, such as "1,4a".
func ParseClasses(list string) ([]string, error) {
	words := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	for _, word := range words {
		if !slices.ContainsFunc(Classes(), func(c Class) bool {
			return c.ID == word || strings.TrimRight(c.ID, "abcd") == word
		}) {
			return nil, fmt.Errorf("there is no class %q", word)
		}
	}
	return words, nil
}
