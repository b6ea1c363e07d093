package cluster

import (
	"strings"
	"testing"
)

func TestAFollowedLogSaysEveryLineOnce(t *testing.T) {
	long := strings.Repeat("a line that the cloud will forget\n", 1000)
	for _, c := range []struct{ what, seen, now, want string }{
		{"nothing yet", "", "", ""},
		{"its first line", "", "one\n", "one\n"},
		{"no more than before", "one\n", "one\n", ""},
		{"a line like the last", "one\n", "one\none\n", "one\n"},
		{"the rest of a line", "one\ntw", "one\ntwo\n", "o\n"},
		{"its beginning forgotten", long + "one\n", long[len(long)/2:] + "one\ntwo\n", "two\n"},
		{"begun anew", "one\ntwo\n", "three\n", "three\n"},
	} {
		if got := added(c.seen, c.now); got != c.want {
			t.Errorf("%s: %q", c.what, got)
		}
	}
}
