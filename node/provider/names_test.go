package provider

import (
	"regexp"
	"strings"
	"testing"
)

func TestGroupNameIsALabelAndUnique(t *testing.T) {
	label := regexp.MustCompile(`^[a-z0-9]([a-z0-9]|-[a-z0-9])*$`)
	seen := map[string]string{}
	for _, c := range []struct{ namespace, name, uid string }{
		{"default", "hello", "1"},
		{"default", "hello", "2"},
		{"default-hello", "x", "1"},
		{"default", "hello-x", "1"},
		{"kube-system", "a.b.c--d", "1"},
		{strings.Repeat("n", 63), strings.Repeat("p", 253), "1"},
		{strings.Repeat("n", 51), strings.Repeat("-p", 100), "1"},
	} {
		got := GroupName(c.namespace, c.name, c.uid)
		if len(got) > 63 || !label.MatchString(got) {
			t.Errorf("GroupName(%v) = %q, not a label of at most 63 characters", c, got)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("GroupName(%v) = %q, the name of %s too", c, got, other)
		}
		seen[got] = c.namespace + "/" + c.name
	}
	if a, b := GroupName("n", "p", "1"), GroupName("n", "p", "1"); a != b {
		t.Errorf("the same pod got the names %q and %q", a, b)
	}
	if got := GroupName("default", "hello", "1"); !strings.HasPrefix(got, "default-hello-") {
		t.Errorf("GroupName = %q, nobody can tell whose it is", got)
	}
}

func TestTagValueFits(t *testing.T) {
	if got := len(TagValue(strings.Repeat("x", 300))); got != 256 {
		t.Errorf("a tag of 300 became %d, want 256", got)
	}
	if got := TagValue("short"); got != "short" {
		t.Errorf("TagValue(short) = %q", got)
	}
}
